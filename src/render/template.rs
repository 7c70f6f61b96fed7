//! The template engine: strict, bounded, and blind to everything but the context it is given.

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};

use super::error::RenderError;

/// How much work one file may be; the largest of ours needs a hundredth.
const FUEL: u64 = 2_000_000;

/// Renders templates. There is no loader: a template can include nothing.
pub(super) struct Engine {
    environment: Environment<'static>,
}

impl Engine {
    /// An engine that treats an undefined value as an error, and knows no environment, clock or file.
    pub(super) fn new() -> Result<Self, RenderError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        // Debug information repeats values, which may be secret.
        environment.set_debug(false);
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build();
        environment.set_syntax(syntax.map_err(|error| RenderError::template("template syntax", "", &error))?);
        Ok(Self { environment })
    }

    /// `source` filled with `context`. `origin` names the template in errors.
    pub(super) fn render(&self, origin: &str, source: &str, context: &Value) -> Result<String, RenderError> {
        self.environment
            .render_named_str(origin, source, context)
            .map_err(|error| RenderError::template(origin, source, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::context;

    fn render(source: &str) -> Result<String, String> {
        let engine = Engine::new().expect("an engine");
        let context = context! { node => context! { name => "m1" }, secret => "hunter2" };
        engine.render("overlays/x/etc/x.j2", source, &context).map_err(|error| error.to_string())
    }

    #[test]
    fn keeps_newlines_and_trims_blocks() {
        let source = "a\n{% if node.name == 'm1' %}\n  b {{ node.name }}\n{% endif %}\nc\n";
        assert_eq!(render(source).expect("renders"), "a\n  b m1\nc\n");
    }

    #[test]
    fn undefined_is_an_error_with_file_and_line() {
        let error = render("first\n\n{{ node.vip }}\n").expect_err("undefined");
        assert!(error.contains("overlays/x/etc/x.j2:3") && error.contains("node.vip"), "{error}");
        for source in ["{% if nope %}{% endif %}", "{{ nope | upper }}", "{% for x in nope %}{% endfor %}"] {
            assert!(render(source).is_err(), "{source}");
        }
    }

    #[test]
    fn nothing_from_outside() {
        for source in ["{% include '/etc/passwd' %}", "{{ env('HOME') }}", "{{ now() }}", "{{ debug() }}{{ nope }}"] {
            let error = render(source).expect_err("refused");
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(render("{% for x in range(9999) %}{% for y in range(9999) %}x{% endfor %}{% endfor %}").is_err());
    }
}
