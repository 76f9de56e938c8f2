//! The table as `docs/failures.md` shows it.

use std::fmt::Write as _;

use super::{Mode, Next, State, TABLE, Told};

/// The table as Markdown.
pub fn render() -> String {
    let mut text = "\
| failure | answer | commit | the client sees | tried next | the model |
|---|---|---|---|---|---|
"
    .to_owned();
    let mut last = "";
    for line in TABLE {
        let ways = line.ways_in_words();
        let failure = match (line.failure == last, ways.is_empty()) {
            (false, true) => format!("**{}**", line.failure),
            (false, false) => format!("**{}**: {ways}", line.failure),
            (true, true) => "…".to_owned(),
            (true, false) => format!("… {ways}"),
        };
        last = line.failure;
        let answer = match line.modes {
            [Mode::Whole] => "whole",
            [Mode::Stream] => "stream",
            _ => "whole, stream",
        };
        let (commit, told) = match line.told {
            Told::Error(status, code) => ("before", format!("{status} `{code}`")),
            Told::Event(code) => ("after", format!("`event: error` `{code}`")),
        };
        let next = match line.next {
            Next::SameModel => "same model, then the next",
            Next::NextModel => "next model",
            Next::Nothing => "nothing",
        };
        let state = match line.state {
            State::Ready => "stays ready".to_owned(),
            State::Rests(reason) if line.states_rest() => format!("rests for as long: `{reason}`"),
            State::Rests(reason) => format!("rests: `{reason}`"),
        };
        // Writing into a string does not fail.
        let _ = writeln!(text, "| {failure} | {answer} | {commit} | {told} | {next} | {state} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const START: &str = "<!-- table -->\n";
    const END: &str = "<!-- /table -->\n";

    #[test]
    fn the_documentation_shows_the_table() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/failures.md");
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = text.split_once(START).expect("the table starts with its marker");
        let (_, after) = rest.split_once(END).expect("the table ends with its marker");
        let wanted = format!("{before}{START}{}{END}{after}", render());
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, wanted).unwrap();
            return;
        }
        assert_eq!(
            text, wanted,
            "docs/failures.md shows another table; `UPDATE_DOCS=1 cargo test -p ai-warp-tests --lib` writes this one"
        );
    }
}
