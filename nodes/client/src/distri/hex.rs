//! Bytes as hexadecimal digits: keys in configuration files, parameters in a query string.

use std::fmt::Write;

/// Two digits a byte.
pub fn encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a string has no way to fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes; `None` if anything but pairs of digits stands there.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

/// A key of 32 bytes.
pub fn key(text: &str) -> Option<[u8; 32]> {
    decode(text)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_come_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&bytes)), Some(bytes));
        assert_eq!(decode("0aFf"), Some(vec![10, 255]));
        for wrong in ["0", "0g", "+1", "ä1", "0a "] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
        assert_eq!(key("00"), None);
    }
}
