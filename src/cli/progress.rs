//! How the library's events look: bars, plain lines, or JSON lines.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};
use khimg::report::{Event, Reporter};

/// Bars on a terminal.
pub struct Bars {
    screen: MultiProgress,
    running: Mutex<BTreeMap<u64, ProgressBar>>,
}

impl Bars {
    pub fn new() -> Self {
        Self { screen: MultiProgress::new(), running: Mutex::new(BTreeMap::new()) }
    }

    fn bar(label: String, total: Option<u64>) -> ProgressBar {
        let template = match total {
            Some(_) => "  {bar:24} {bytes:>10}/{total_bytes:<10} {bytes_per_sec:>12}  {msg}",
            None => "  {spinner} {bytes:>10}  {msg}",
        };
        let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(label);
        bar
    }

    fn say(&self, text: &str) {
        if self.screen.println(text).is_err() {
            // A terminal that has gone needs no progress.
        }
    }
}

impl Reporter for Bars {
    fn report(&self, event: Event) {
        let Ok(mut running) = self.running.lock() else { return };
        match event {
            Event::Stage { name } => self.say(name),
            Event::Started { task, label, total } => {
                let bar = self.screen.add(Self::bar(label, total));
                bar.enable_steady_tick(Duration::from_millis(200));
                running.insert(task, bar);
            }
            Event::Progress { task, done } => {
                if let Some(bar) = running.get(&task) {
                    bar.set_position(done);
                }
            }
            Event::Finished { task } => {
                if let Some(bar) = running.remove(&task) {
                    bar.finish_and_clear();
                }
            }
            Event::Skipped { label, reason } => self.say(&format!("  skipped {label}: {reason}")),
            Event::Note { text } => self.say(&format!("  {text}")),
            Event::Warning { text } => self.say(&format!("warning: {text}")),
        }
    }
}

/// One plain line per stage, finished task and note.
#[derive(Default)]
pub struct Lines {
    running: Mutex<BTreeMap<u64, Task>>,
}

struct Task {
    label: String,
    total: Option<u64>,
    done: u64,
}

impl Task {
    /// The size, if there is one: progress comes now and then, so that the last of it may be less than all.
    fn size(&self) -> Option<u64> {
        self.total.or((self.done > 0).then_some(self.done))
    }
}

fn line(text: &str) {
    if writeln!(anstream::stderr().lock(), "{text}").is_err() {
        // There is no other place to say it.
    }
}

impl Reporter for Lines {
    fn report(&self, event: Event) {
        let Ok(mut running) = self.running.lock() else { return };
        match event {
            Event::Stage { name } => line(name),
            Event::Started { task, label, total } => {
                running.insert(task, Task { label, total, done: 0 });
            }
            Event::Progress { task, done } => {
                if let Some(task) = running.get_mut(&task) {
                    task.done = done;
                }
            }
            Event::Finished { task } => {
                if let Some(task) = running.remove(&task) {
                    let size = task.size().map(|size| format!(" ({})", HumanBytes(size))).unwrap_or_default();
                    line(&format!("  {}{size}", task.label));
                }
            }
            Event::Skipped { label, reason } => line(&format!("  skipped {label}: {reason}")),
            Event::Note { text } => line(&format!("  {text}")),
            Event::Warning { text } => line(&format!("warning: {text}")),
        }
    }
}

/// One JSON object per event.
pub struct JsonLines;

impl Reporter for JsonLines {
    fn report(&self, event: Event) {
        let told = match event {
            Event::Stage { name } => serde_json::json!({"event": "stage", "name": name}),
            Event::Started { task, label, total } => {
                serde_json::json!({"event": "started", "task": task, "label": label, "total": total})
            }
            Event::Progress { task, done } => serde_json::json!({"event": "progress", "task": task, "done": done}),
            Event::Finished { task } => serde_json::json!({"event": "finished", "task": task}),
            Event::Skipped { label, reason } => {
                serde_json::json!({"event": "skipped", "label": label, "reason": reason})
            }
            Event::Note { text } => serde_json::json!({"event": "note", "text": text}),
            Event::Warning { text } => serde_json::json!({"event": "warning", "text": text}),
        };
        line(&told.to_string());
    }
}
