//! Nothing that arrived is fetched twice, and nothing that arrived is believed.

use khimg::store::Claim;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{Bench, PATH, bytes, mirror_with, read, wanted};
use crate::support::mirror::{Fault, Mirror};

const SIZE: usize = 200_000;

/// Puts bytes where an interrupted run would have left them.
fn leave(bench: &Bench, content: &[u8], left: &[u8]) {
    match bench.store.claim(&khimg::digest::Digest::of(content)).expect("a claim") {
        Claim::Mine(mut partial) => partial.write(left).expect("written"),
        Claim::Done(_) | Claim::Busy => panic!("nobody else is here"),
    }
}

fn offset(range: &str) -> u64 {
    range
        .strip_prefix("bytes=")
        .and_then(|rest| rest.strip_suffix('-'))
        .and_then(|text| text.parse().ok())
        .expect("a range")
}

#[test]
fn the_next_mirror_continues_at_the_same_byte() {
    let content = bytes(SIZE, 1);
    let (first, second) = (mirror_with(&content), mirror_with(&content));
    first.fault(PATH, Fault::cut_after(150_000));
    let bench = Bench::new();
    assert_eq!(read(&bench.download(&wanted(&content, &[&first, &second])).expect("served")), content);
    let hits = second.hits(PATH);
    let from = offset(hits[0].header("range").expect("a range"));
    assert!(from > 0 && from <= 150_000, "{from}");
    assert_eq!(hits[0].header("if-range"), None, "another mirror's validator means nothing here");
    assert_eq!((hits.len(), second.sent(PATH), first.hits(PATH).len()), (1, SIZE as u64 - from, 1));
}

#[test]
fn the_same_mirror_continues_if_it_still_has_the_same_file() {
    let content = bytes(SIZE, 1);
    let mirror = mirror_with(&content);
    mirror.fault(PATH, Fault::cut_after(150_000));
    let bench = Bench::new();
    assert_eq!(read(&bench.download(&wanted(&content, &[&mirror])).expect("served")), content);
    let hits = mirror.hits(PATH);
    let from = offset(hits[1].header("range").expect("a range"));
    assert!(hits[1].header("if-range").expect("a condition").starts_with('"'));
    assert_eq!((hits.len(), hits[1].status, hits[1].sent()), (2, 206, SIZE as u64 - from));
}

#[test]
fn a_file_that_changed_meanwhile_is_begun_again() {
    let content = bytes(SIZE, 1);
    let mirror = mirror_with(&content);
    mirror.fault(PATH, Fault::changed_etag(bytes(SIZE, 2)));
    let bench = Bench::new();
    assert_eq!(read(&bench.download(&wanted(&content, &[&mirror])).expect("served")), content);
    let statuses: Vec<u16> = mirror.hits(PATH).iter().map(|hit| hit.status).collect();
    assert_eq!(statuses, [200, 200]);
}

#[test]
fn an_interrupted_run_is_continued() {
    let content = bytes(SIZE, 1);
    let mirror = mirror_with(&content);
    let bench = Bench::new();
    leave(&bench, &content, &content[..123_456]);
    assert_eq!(read(&bench.download(&wanted(&content, &[&mirror])).expect("served")), content);
    assert_eq!(mirror.hits(PATH)[0].header("range"), Some("bytes=123456-"));
    assert_eq!(mirror.sent(PATH), SIZE as u64 - 123_456);
}

#[test]
fn a_run_that_was_killed_before_the_last_rename_asks_nobody() {
    let content = bytes(SIZE, 1);
    let mirror = mirror_with(&content);
    let bench = Bench::new();
    leave(&bench, &content, &content);
    for size in [Some(SIZE as u64), None] {
        let mut wanted = wanted(&content, &[&mirror]);
        wanted.size = size;
        assert_eq!(read(&bench.download(&wanted).expect("complete")), content);
    }
    assert_eq!(mirror.log().len(), 0);
}

#[test]
fn wrong_leftovers_cost_a_second_request_and_no_more() {
    let content = bytes(SIZE, 1);
    for left in [bytes(100_000, 2), bytes(SIZE, 2), bytes(SIZE + 10, 2)] {
        for size in [Some(SIZE as u64), None] {
            let mirror = mirror_with(&content);
            let bench = Bench::new();
            leave(&bench, &content, &left);
            let mut wanted = wanted(&content, &[&mirror]);
            wanted.size = size;
            assert_eq!(read(&bench.download(&wanted).expect("served")), content);
            assert!(mirror.hits(PATH).len() <= 2, "{:?}", mirror.hits(PATH));
        }
    }
}

#[test]
fn a_mirror_that_lies_and_breaks_spoils_nothing_for_the_rest() {
    let content = bytes(SIZE, 1);
    let (liar, good) = (mirror_with(&content), mirror_with(&content));
    liar.fault(PATH, Fault::changed_etag(bytes(SIZE, 2)));
    let bench = Bench::new();
    assert_eq!(read(&bench.download(&wanted(&content, &[&liar, &good])).expect("served")), content);
    assert!(bench.notes().contains("do not fit together; once more from m1 alone"), "{}", bench.notes());
    assert_eq!((liar.hits(PATH).len(), good.hits(PATH).len()), (1, 2));
}

#[test]
fn a_mirror_that_lies_about_the_end_is_out_and_the_honest_one_serves() {
    let content = bytes(SIZE, 1);
    let (honest, liar) = (mirror_with(&content), mirror_with(&content));
    honest.fault(PATH, Fault::dropped_midway());
    liar.fault(PATH, Fault::wrong_bytes());
    let bench = Bench::new();
    assert_eq!(read(&bench.download(&wanted(&content, &[&honest, &liar])).expect("served")), content);
}

#[test]
fn a_failure_keeps_what_arrived_for_the_next_run() {
    let content = bytes(SIZE, 1);
    let mirror = mirror_with(&content);
    mirror.fault(PATH, Fault::cut_after(100_000)).fault(PATH, Fault::not_found().times(1));
    let bench = Bench::new();
    bench.download(&wanted(&content, &[&mirror])).expect_err("gone");
    bench.download(&wanted(&content, &[&mirror])).expect("served");
    let hits = mirror.hits(PATH);
    assert!(offset(hits[2].header("range").expect("a range")) > 0);
    assert_eq!(hits.len(), 3);
}

#[test]
fn a_cancelled_download_is_continued() {
    let content = bytes(SIZE, 1);
    let mirror = mirror_with(&content);
    mirror.fault(PATH, Fault::slow().times(1));
    let bench = Bench::new();
    let download = wanted(&content, &[&mirror]);
    bench.runtime.block_on(async {
        let arrived = async {
            while mirror.sent(PATH) < 128 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = bench.net.download(&download, &bench.store) => panic!("too fast"),
            () = arrived => {}
        }
    });
    bench.download(&download).expect("served");
    assert!(mirror.sent(PATH) <= SIZE as u64 + 128, "{}", mirror.sent(PATH));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Two mirrors that break wherever they like, ignore ranges or serve an older file now and then, and are fine in the end.
    #[test]
    fn any_interleaving_yields_the_right_bytes(
        size in 0_usize..50_000,
        cuts in vec((any::<bool>(), 0_u8..8, 0_usize..60_000), 0..5),
        left in 0_usize..50_000,
    ) {
        let content = bytes(size, 1);
        let mirrors: [Mirror; 2] = [mirror_with(&content), mirror_with(&content)];
        for (which, kind, at) in cuts {
            let fault = match kind {
                0 => Fault::ignores_range().times(1),
                1 => Fault::wrong_content_range().times(1),
                2 => Fault::changed_etag(bytes(size, 2)),
                3 => Fault::unavailable_once(),
                _ => Fault::cut_after(at),
            };
            mirrors[usize::from(which)].fault(PATH, fault);
        }
        let bench = Bench::with(khimg::net::NetOptions { attempts: 8, ..super::impatient() });
        if left > 0 {
            leave(&bench, &content, &content[..left.min(size)]);
        }
        let blob = bench.download(&wanted(&content, &mirrors.each_ref())).expect("fine in the end");
        prop_assert_eq!(read(&blob), content);
    }
}
