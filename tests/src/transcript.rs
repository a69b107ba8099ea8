//! Terminal sessions in Markdown: what a page tells its reader to type, and what it shows.
//!
//! A fenced block marked `console` is a session. A line that starts with `$ ` is a command; a
//! backslash at its end continues it on the next line. The lines after it are what it prints;
//! `...` stands for anything, as a line or within one. A block belongs to the first terminal, or to
//! a second one when the paragraph before it says `second terminal`; then the last command of the
//! block before it keeps running until there is something to type in the first terminal again.

/// A block of commands for one terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The second terminal, beside a command that keeps running in the first.
    pub second_terminal: bool,
    /// In order.
    pub commands: Vec<Command>,
}

/// A command and what the page shows of its output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// What to type.
    pub text: String,
    /// What it prints, line by line.
    pub output: Vec<String>,
}

/// The sessions in a page.
#[must_use]
pub fn parse(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut paragraph = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            match line.trim() {
                // Blank lines do not end a paragraph here: one stands before each fence.
                "" => {}
                text if lines_start_paragraph(&paragraph, line) => text.clone_into(&mut paragraph),
                text => paragraph += &format!(" {text}"),
            }
            continue;
        };
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if language == "console" {
            blocks.push(Block {
                second_terminal: paragraph.contains("second terminal"),
                commands: commands(&body),
            });
        }
        paragraph.clear();
    }
    blocks
}

/// Whether `line` begins a paragraph, as far as this needs to know: after a fence, or a heading.
fn lines_start_paragraph(paragraph: &str, line: &str) -> bool {
    paragraph.is_empty() || line.starts_with('#')
}

fn commands(body: &[&str]) -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    let mut continues = false;
    for line in body {
        if let Some(text) = line.strip_prefix("$ ") {
            commands.push(Command::default());
            continues = append(&mut commands, text);
        } else if continues {
            continues = append(&mut commands, line.trim_start());
        } else if let Some(command) = commands.last_mut() {
            command.output.push((*line).to_owned());
        }
    }
    commands
}

/// Adds text to the last command; whether it continues on the next line.
fn append(commands: &mut [Command], text: &str) -> bool {
    let Some(command) = commands.last_mut() else {
        return false;
    };
    let (text, continues) = match text.strip_suffix('\\') {
        Some(text) => (text, true),
        None => (text, false),
    };
    command.text += text;
    continues
}

impl Command {
    /// The first line shown that the output lacks, if any. Lines between those shown are allowed.
    #[must_use]
    pub fn missing_from(&self, output: &str) -> Option<&str> {
        let mut printed = output.lines();
        self.output
            .iter()
            .filter(|shown| *shown != "...")
            .find(|shown| !printed.any(|line| matches(shown, line)))
            .map(String::as_str)
    }
}

/// Whether a printed line is as shown, where `...` stands for anything.
fn matches(shown: &str, line: &str) -> bool {
    let mut pieces = shown.trim_end().split("...");
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = line.trim_end().strip_prefix(first) else {
        return false;
    };
    let mut open_end = false;
    for piece in pieces {
        let Some((_, after)) = rest.split_once(piece) else {
            return false;
        };
        open_end = piece.is_empty();
        rest = after;
    }
    rest.is_empty() || open_end
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# Title

Type this:

```console
$ make \\
    all
cc -o x x.c
...
done in ... s
$ server
```

```c
int main(void);
```

Then, in a second terminal:

```console
$ client
```

And here again:

```console
$ clean
```
";

    #[test]
    fn finds_commands_output_and_terminals() {
        let blocks = parse(PAGE);
        let terminals: Vec<bool> = blocks.iter().map(|block| block.second_terminal).collect();
        assert_eq!(terminals, [false, true, false]);
        let [make, server] = &blocks[0].commands[..] else {
            panic!("{blocks:?}");
        };
        assert_eq!(make.text, "make all");
        assert_eq!(make.output, ["cc -o x x.c", "...", "done in ... s"]);
        assert_eq!((server.text.as_str(), server.output.len()), ("server", 0));
    }

    #[test]
    fn compares_what_is_shown_with_what_is_printed() {
        let command = &parse(PAGE)[0].commands[0];
        let good = "cc -o x x.c\nwarning\ndone in 1.5 s\n";
        assert_eq!(command.missing_from(good), None);
        let reordered = "done in 1.5 s\ncc -o x x.c\n";
        assert_eq!(command.missing_from(reordered), Some("done in ... s"));
        let longer = "cc -o x x.c y.c\ndone in 1.5 s\n";
        assert_eq!(command.missing_from(longer), Some("cc -o x x.c"));
    }

    #[test]
    fn three_dots_stand_for_anything() {
        assert!(matches("a...c", "abbc"));
        assert!(matches("a...", "abc"));
        assert!(!matches("a...c", "abcd"));
        assert!(!matches("abc", "abcd"));
    }
}
