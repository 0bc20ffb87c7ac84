//! The three forms of a message: which one a body is in, and which one an answer should have.

use crate::http::error::ApiError;
use axum::response::{IntoResponse, Response};
use client::analytics::Bincode;
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The layout of bincode 1: also what curl sends when nobody told it the type, and nothing at all.
    Bincode,
    /// Protobuf.
    Protobuf,
    /// JSON.
    Json,
}

const FORMS: [(&str, Form); 4] = [
    ("application/octet-stream", Form::Bincode),
    ("application/x-protobuf", Form::Protobuf),
    ("application/protobuf", Form::Protobuf),
    ("application/json", Form::Json),
];

impl Form {
    fn named(essence: &str) -> Option<Form> {
        FORMS.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(essence)).map(|(_, form)| form)
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Form::Bincode => "application/octet-stream",
            Form::Protobuf => "application/x-protobuf",
            Form::Json => "application/json",
        }
    }

    /// The form of a request's body.
    ///
    /// # Errors
    /// [`ApiError`] if it is of another type.
    pub fn of_body(headers: &HeaderMap) -> Result<Form, ApiError> {
        let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(Form::Bincode) };
        let text = value.to_str().unwrap_or("unreadable");
        let essence = text.split(';').next().unwrap_or_default().trim();
        if essence.is_empty() || essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Ok(Form::Bincode);
        }
        Form::named(essence).ok_or_else(|| {
            let detail = format!(
                "content type {text:?} is not understood here; there are application/octet-stream \
                 (bincode), application/x-protobuf and application/json"
            );
            let title = "Content type not understood";
            ApiError::app(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type", title, detail)
        })
    }

    /// The form that `Accept` asks for by name, the one that it likes best. `None`: any will do.
    ///
    /// # Errors
    /// [`ApiError`] if it takes none that there is.
    pub fn accepted(headers: &HeaderMap) -> Result<Option<Form>, ApiError> {
        let mut best: Option<(f32, Option<Form>)> = None;
        let mut named = false;
        for value in headers.get_all(header::ACCEPT) {
            for range in value.to_str().unwrap_or_default().split(',') {
                let mut parts = range.split(';').map(str::trim);
                let essence = parts.next().unwrap_or_default();
                named |= !essence.is_empty();
                let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(Ok(1.0), str::parse);
                let quality = quality.unwrap_or(0.0);
                let form = match (Form::named(essence), essence) {
                    (Some(form), _) => Some(form),
                    (None, "*/*" | "application/*") => None,
                    _ => continue,
                };
                if quality > 0.0 && best.is_none_or(|(most, _)| quality > most) {
                    best = Some((quality, form));
                }
            }
        }
        match best {
            Some((_, form)) => Ok(form),
            None if !named => Ok(None),
            None => {
                let detail = "there are application/octet-stream (bincode), application/x-protobuf and \
                              application/json";
                Err(ApiError::app(StatusCode::NOT_ACCEPTABLE, "not-acceptable", "Not acceptable", detail))
            }
        }
    }

    /// The message in `bytes`.
    ///
    /// # Errors
    /// [`ApiError`] that says what was expected.
    pub fn decode<T>(self, bytes: &[u8]) -> Result<T, ApiError>
    where
        T: Bincode + prost::Message + Default + DeserializeOwned,
    {
        let error = |code, detail: String| ApiError::invalid(code, detail);
        match self {
            Form::Bincode => T::from_bincode(bytes).ok_or_else(|| {
                let detail = format!(
                    "{} bytes are not the expected message in the layout of bincode 1; for JSON send \
                     `Content-Type: application/json`",
                    bytes.len()
                );
                error("invalid-bincode", detail)
            }),
            Form::Protobuf => T::decode(bytes).map_err(|found| {
                error("invalid-protobuf", format!("the bytes are not the expected Protobuf message: {found}"))
            }),
            Form::Json => crate::http::body::parse(&HeaderMap::new(), bytes),
        }
    }

    /// The answer.
    pub fn answer<T: Bincode + prost::Message + Serialize>(
        self,
        status: StatusCode,
        message: &T,
    ) -> Response {
        let bytes = match self {
            Form::Bincode => message.to_bincode(),
            Form::Protobuf => message.encode_to_vec(),
            // Serialisation of plain data into memory has no way to fail.
            Form::Json => serde_json::to_vec(message).unwrap_or_default(),
        };
        (status, [(header::CONTENT_TYPE, self.media_type())], bytes).into_response()
    }
}

/// The bytes in base64url, with or without padding.
pub fn base64url(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0u32, 0);
    let text = text.trim_end_matches('=');
    if text.len() % 4 == 1 {
        return None;
    }
    for letter in text.bytes() {
        let six = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'-' | b'+' => 62,
            b'_' | b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    (bits == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_is_read() {
        assert_eq!(base64url("").unwrap(), b"");
        assert_eq!(base64url("YQ").unwrap(), b"a");
        assert_eq!(base64url("YQ==").unwrap(), b"a");
        assert_eq!(base64url("-_8").unwrap(), [0xfb, 0xff]);
        assert_eq!(base64url("c2Vuc29y").unwrap(), b"sensor");
        for wrong in ["Y", "YQ!", "Y Q", "YR"] {
            assert_eq!(base64url(wrong), None, "{wrong}");
        }
    }

    fn accept(text: &str) -> Result<Option<Form>, ApiError> {
        let headers = [(header::ACCEPT, text.parse().unwrap())].into_iter().collect();
        Form::accepted(&headers)
    }

    #[test]
    fn the_best_liked_form_is_taken() {
        assert_eq!(Form::accepted(&HeaderMap::new()), Ok(None));
        assert_eq!(accept("*/*"), Ok(None));
        assert_eq!(accept("application/json"), Ok(Some(Form::Json)));
        let text = "text/html, application/x-protobuf;q=0.5, application/octet-stream;q=0.9";
        assert_eq!(accept(text), Ok(Some(Form::Bincode)));
        assert!(accept("text/html").is_err());
        assert!(accept("application/json;q=0").is_err());
    }
}
