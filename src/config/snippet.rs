//! Problems as text: sentence, place, source line with a caret, hint.

use annotate_snippets::{Annotation, AnnotationKind, Level, Renderer, Snippet};

use super::problem::{Place, Problem};

/// How a report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Bare ASCII, for files and pipes.
    Plain,
    /// With terminal colours.
    Coloured,
}

/// More than this are not read by anybody.
const MAX_SHOWN: usize = 100;

/// A line longer than this is cut around the place, so that one line of a megabyte is not laid out a hundred times.
const MAX_LINE: usize = 4096;

pub(super) fn render(problems: &[Problem], style: Style) -> String {
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Coloured => Renderer::styled(),
    };
    let mut parts: Vec<String> = problems.iter().take(MAX_SHOWN).map(|problem| one(&renderer, problem)).collect();
    if let Some(further) = problems.len().checked_sub(MAX_SHOWN).filter(|further| *further > 0) {
        let title = Level::ERROR.primary_title(format!("{further} more like these"));
        parts.push(renderer.render(&[annotate_snippets::Group::with_title(title)]));
    }
    let mut report = parts.join("\n\n");
    report.push('\n');
    report
}

fn one(renderer: &Renderer, problem: &Problem) -> String {
    let title = Level::ERROR.primary_title(annotate_snippets::normalize_untrusted_str(problem.message()));
    let mut group = annotate_snippets::Group::with_title(title);
    if let Some(place) = &problem.place {
        group = group.element(excerpt(place));
    }
    if let Some(help) = problem.help() {
        group = group.element(Level::HELP.with_name("hint").message(annotate_snippets::normalize_untrusted_str(help)));
    }
    renderer.render(&[group])
}

/// The lines that the place touches, and nothing around them: laying out a whole file for each problem would be slow.
fn excerpt(place: &Place) -> Snippet<'_, Annotation<'_>> {
    let text = place.source.text.as_str();
    let spans = || std::iter::once(&place.span).chain(place.related.iter().map(|(span, _)| span));
    let first = spans().map(|span| span.start).min().unwrap_or_default();
    let last = spans().map(|span| span.end).max().unwrap_or_default();
    let before = text.get(..first).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |index| index + 1);
    let start = line_start.max(text.floor_char_boundary(first.saturating_sub(MAX_LINE)));
    let line_end = text.get(last..).and_then(|rest| rest.find('\n')).map_or(text.len(), |index| last + index);
    let end = line_end.min(text.ceil_char_boundary(last.saturating_add(MAX_LINE)));
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let shift = |span: &std::ops::Range<usize>| span.start.saturating_sub(start)..span.end.saturating_sub(start);
    let mut snippet = Snippet::source(text.get(start..end).unwrap_or_default())
        .line_start(line)
        .path(place.source.name.as_str())
        .annotation(AnnotationKind::Primary.span(shift(&place.span)));
    for (span, label) in &place.related {
        snippet = snippet.annotation(AnnotationKind::Context.span(shift(span)).label(label.as_str()));
    }
    snippet
}
