//! `Encrypt` and `Decrypt`: AES-256-GCM.
//!
//! The answer of `Encrypt` is a nonce (12 random bytes), then the ciphertext with its tag (16 bytes). The
//! key is the cluster's: drawn by the first node that needs it, kept in group 0 and therefore in its log
//! and snapshots, as it is. It protects what leaves the cluster, not against who reads a node's disk. A
//! random nonce is good for 2^32 encryptions under one key.

use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};

/// Bytes of a nonce.
const NONCE_BYTES: usize = 12;

/// Bytes in, nonce and ciphertext out. `nonce` must be fresh.
pub fn encrypt(key: &[u8; 32], nonce: [u8; NONCE_BYTES], data: &[u8]) -> Result<Vec<u8>, String> {
    let cipher = Aes256Gcm::new(key.into());
    let sealed = cipher.encrypt(Nonce::from_slice(&nonce), data);
    let sealed = sealed.map_err(|_| "the data are too long for one encryption".to_owned())?;
    Ok([&nonce[..], &sealed].concat())
}

/// What [`encrypt`] was given.
pub fn decrypt(key: &[u8; 32], data: &[u8]) -> Result<Vec<u8>, String> {
    let wrong = || "the data are not what Encrypt answered under this cluster's key".to_owned();
    let (nonce, sealed) = data.split_at_checked(NONCE_BYTES).ok_or_else(wrong)?;
    Aes256Gcm::new(key.into()).decrypt(Nonce::from_slice(nonce), sealed).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encrypted_comes_back_and_nothing_else() {
        let sealed = encrypt(&[1; 32], [2; 12], b"image").unwrap();
        assert_eq!(sealed.len(), 12 + 5 + 16);
        assert_eq!(decrypt(&[1; 32], &sealed).unwrap(), b"image");
        decrypt(&[3; 32], &sealed).unwrap_err();
        for end in 0..sealed.len() {
            decrypt(&[1; 32], &sealed[..end]).unwrap_err();
        }
        for place in 0..sealed.len() {
            let mut other = sealed.clone();
            other[place] ^= 1;
            decrypt(&[1; 32], &other).unwrap_err();
        }
    }

    #[test]
    fn a_known_answer() {
        // Test case 14 of the GCM specification: key and nonce zero, one block of zeros.
        let sealed = encrypt(&[0; 32], [0; 12], &[0; 16]).unwrap();
        let hex: String = sealed[12..].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
    }
}
