//! ANSI colours, or none.

/// A colour of the eight that every terminal has, in the reading of its theme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    Red,
    Green,
    Yellow,
    Grey,
}

/// Paints, or leaves text as it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    pub(super) on: bool,
}

impl Paint {
    pub(super) fn colour(self, colour: Colour, text: &str) -> String {
        self.wrap(
            match colour {
                Colour::Red => "1;31",
                Colour::Green => "1;32",
                Colour::Yellow => "1;33",
                Colour::Grey => "2",
            },
            text,
        )
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        let text = plain(text);
        if self.on { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text }
    }
}

/// `text` without control characters: text from the run must not steer the terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).collect()
}

/// Columns that `text` takes once the terminal has read the escapes.
pub(super) fn visible_width(text: &str) -> usize {
    let mut width = 0;
    let mut escape = false;
    for letter in text.chars() {
        match letter {
            '\u{1b}' => escape = true,
            'm' if escape => escape = false,
            _ if escape => {}
            _ => width += 1,
        }
    }
    width
}
