//! Keys as the browser gets them from a keyboard.

use serde_json::{Value, json};

/// A key that does something; text is [written](super::Page::write).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// To what is next.
    Tab,
    /// To what was before.
    BackTab,
    /// Do it.
    Enter,
    /// Do it, with the control key down.
    ControlEnter,
    /// Leave it.
    Escape,
    /// Switch it.
    Space,
    /// Up.
    ArrowUp,
    /// Down.
    ArrowDown,
}

/// Bits of `modifiers` in the protocol.
const CONTROL: u8 = 2;
const SHIFT: u8 = 8;

impl Key {
    /// Down and up, as parameters of `Input.dispatchKeyEvent`.
    pub(super) fn events(self) -> [Value; 2] {
        let (key, code, number, text, modifiers) = match self {
            Self::Tab => ("Tab", "Tab", 9, "", 0),
            Self::BackTab => ("Tab", "Tab", 9, "", SHIFT),
            Self::Enter => ("Enter", "Enter", 13, "\r", 0),
            Self::ControlEnter => ("Enter", "Enter", 13, "\r", CONTROL),
            Self::Escape => ("Escape", "Escape", 27, "", 0),
            Self::Space => (" ", "Space", 32, " ", 0),
            Self::ArrowUp => ("ArrowUp", "ArrowUp", 38, "", 0),
            Self::ArrowDown => ("ArrowDown", "ArrowDown", 40, "", 0),
        };
        let event = |kind: &str, text: &str| {
            json!({
                "type": kind,
                "key": key,
                "code": code,
                "windowsVirtualKeyCode": number,
                "modifiers": modifiers,
                "text": text,
            })
        };
        [event(if text.is_empty() { "rawKeyDown" } else { "keyDown" }, text), event("keyUp", "")]
    }
}
