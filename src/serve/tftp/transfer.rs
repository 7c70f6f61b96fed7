//! What is sent when: the server's side of one transfer, without sockets and clocks.

use bytes::Bytes;

use super::packet::{self, Options, Packet};

/// How often something is sent again before the client is given up.
const PATIENCE: u32 = 6;

/// A transfer of one file.
#[derive(Debug)]
pub struct Transfer {
    content: Bytes,
    block: usize,
    window: u64,
    /// Answered options that the client has not acknowledged yet.
    agreement: Option<Vec<u8>>,
    /// Blocks that the client has; they are counted from 1.
    acknowledged: u64,
    /// All blocks, of which the last one is not full (RFC 1350).
    last: u64,
    tries: u32,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Send these packets and wait.
    Send(Vec<Vec<u8>>),
    /// Go on waiting.
    Wait,
    /// The client has it all.
    Done,
    /// The client has gone or given up.
    Over,
}

impl Transfer {
    /// A transfer of `content`, with what has to be sent first.
    pub fn new(content: Bytes, options: &Options) -> (Self, Step) {
        let block = usize::from(options.block());
        let agreement = packet::agree(options, content.len() as u64);
        let last = (content.len() / block) as u64 + 1;
        let window = u64::from(options.window());
        let mut transfer = Self { content, block, window, agreement, acknowledged: 0, last, tries: 0 };
        let first = transfer.send();
        (transfer, first)
    }

    /// A packet came from the client; `None` is one that makes no sense.
    pub fn heard(&mut self, packet: Option<Packet>) -> Step {
        match packet {
            Some(Packet::Acknowledge(number)) => self.acknowledged(number),
            Some(Packet::Error) => Step::Over,
            // Its request once more, because the answer was lost or slow: that is sent again in its time.
            Some(Packet::Read(_) | Packet::Write) | None => Step::Wait,
        }
    }

    /// Nothing came in time.
    pub fn silence(&mut self) -> Step {
        self.tries += 1;
        if self.tries > PATIENCE { Step::Over } else { self.send() }
    }

    fn acknowledged(&mut self, number: u16) -> Step {
        if self.agreement.is_some() {
            if number != 0 {
                return Step::Wait;
            }
            self.agreement = None;
            self.tries = 0;
            return self.send();
        }
        // Numbers begin again after 65535: the one meant is within the window.
        let ahead = u64::from(number.wrapping_sub((self.acknowledged & 0xffff) as u16));
        if ahead > self.window.min(self.last - self.acknowledged) {
            return Step::Wait;
        }
        if ahead == 0 {
            // In a window, this says that its first block was lost (RFC 7440); else it is an old packet, and answering those
            // would double the traffic for ever (RFC 1123 §4.2.3.1).
            if self.window == 1 || self.tries >= PATIENCE {
                return Step::Wait;
            }
            self.tries += 1;
            return self.send();
        }
        self.acknowledged += ahead;
        self.tries = 0;
        if self.acknowledged == self.last { Step::Done } else { self.send() }
    }

    fn send(&mut self) -> Step {
        if let Some(agreement) = &self.agreement {
            return Step::Send(vec![agreement.clone()]);
        }
        let until = self.last.min(self.acknowledged + self.window);
        let packets = (self.acknowledged + 1..=until).map(|number| {
            // No more blocks than bytes in a file in memory.
            let begin = usize::try_from(number - 1).unwrap_or(usize::MAX).saturating_mul(self.block);
            let end = begin.saturating_add(self.block).min(self.content.len());
            packet::data((number & 0xffff) as u16, self.content.get(begin..end).unwrap_or_default())
        });
        Step::Send(packets.collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A client that keeps the rules, over a network that loses, doubles and delays packets as `luck` says.
    fn fetch(content: &Bytes, options: &Options, mut luck: impl FnMut() -> u8) -> Option<Vec<u8>> {
        let (mut transfer, mut step) = Transfer::new(content.clone(), options);
        let mut got = Vec::new();
        let (mut expected, block, window) = (1_u64, usize::from(options.block()), u64::from(options.window()));
        let mut waits_for_agreement = packet::agree(options, content.len() as u64).is_some();
        for _ in 0..100_000 {
            let packets = match step {
                Step::Send(packets) => packets,
                Step::Wait => Vec::new(),
                Step::Done => return Some(got),
                Step::Over => return None,
            };
            let mut answers = Vec::new();
            let mut in_window = 0;
            for packet in packets {
                let copies = match luck() % 16 {
                    0 => 0,
                    1 => 2,
                    _ => 1,
                };
                for _ in 0..copies {
                    if packet[1] == 6 {
                        assert!(waits_for_agreement || expected == 1);
                        waits_for_agreement = false;
                        answers.push(0);
                        continue;
                    }
                    assert!(!waits_for_agreement && packet.len() <= block + 4);
                    let number = u16::from_be_bytes([packet[2], packet[3]]);
                    if number == expected as u16 {
                        got.extend(&packet[4..]);
                        let is_last = packet.len() < block + 4;
                        expected += 1;
                        in_window += 1;
                        if is_last || in_window == window {
                            answers.push(number);
                        }
                    } else {
                        answers.push((expected - 1) as u16);
                    }
                }
            }
            let answers: Vec<u16> = answers.into_iter().filter(|_| !luck().is_multiple_of(16)).collect();
            step = if answers.is_empty() { transfer.silence() } else { Step::Wait };
            for number in answers {
                // What is sent in answer to an older packet is overtaken.
                step = transfer.heard(Some(Packet::Acknowledge(number)));
                if matches!(step, Step::Done | Step::Over) {
                    break;
                }
            }
            if step == Step::Wait {
                step = transfer.silence();
            }
        }
        panic!("no end");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Over a bad network a file comes whole or not at all.
        #[test]
        fn comes_whole(
            length in 0_usize..20_000, block in 8_u16..1468, window in 1_u16..=16, asks in any::<bool>(), luck in any::<u64>()
        ) {
            let content: Bytes = (0..length).map(|at| (at % 251) as u8).collect::<Vec<_>>().into();
            let options = if asks {
                Options { block: Some(block), size: true, timeout: None, window: Some(window) }
            } else {
                Options::default()
            };
            let mut state = luck | 1;
            let luck = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 59) as u8
            };
            if let Some(got) = fetch(&content, &options, luck) {
                prop_assert!(got == content);
            }
        }

        /// Whatever a client sends, it is not answered with more than a window for a packet, nor for ever.
        #[test]
        fn answers_are_bounded(numbers in proptest::collection::vec(any::<u16>(), 0..200), window in 1_u16..=16) {
            let options = Options { block: None, size: false, timeout: None, window: Some(window) };
            let (mut transfer, _) = Transfer::new(Bytes::from(vec![1; 5000]), &options);
            for number in numbers {
                match transfer.heard(Some(Packet::Acknowledge(number % 12))) {
                    Step::Send(packets) => prop_assert!(packets.len() <= usize::from(window)),
                    Step::Wait => {}
                    Step::Done | Step::Over => break,
                }
            }
        }
    }

    #[test]
    fn over_a_good_network_it_comes_at_once_even_beyond_65535_blocks() {
        let content = Bytes::from(vec![7; 8 * 70_000]);
        let options = Options { block: Some(8), size: true, timeout: None, window: Some(16) };
        assert_eq!(fetch(&content, &options, || 7).expect("comes").len(), content.len());
        let (mut transfer, _) = Transfer::new(Bytes::new(), &Options::default());
        assert_eq!(transfer.heard(Some(Packet::Acknowledge(1))), Step::Done);
    }

    #[test]
    fn a_silent_client_is_given_up() {
        let (mut transfer, _) = Transfer::new(Bytes::from_static(b"x"), &Options::default());
        let sent = std::iter::repeat_with(|| transfer.silence()).take_while(|step| *step != Step::Over).count();
        assert_eq!(sent, PATIENCE as usize);
    }
}
