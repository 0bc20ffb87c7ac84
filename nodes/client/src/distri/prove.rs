//! How a node proves who it is: it signs a challenge of the other side with its ed25519 key.
//!
//! `Challenge` is answered with 32 random bytes, good for one try on that connection. `Prove` then carries
//! the public key (32 bytes) and the signature (64) of [`CONTEXT`] and the challenge.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

/// Stands before the challenge, so that a signature is good for nothing else.
pub const CONTEXT: &[u8] = b"distri node 1\0";
/// Bytes of a challenge.
pub const CHALLENGE_BYTES: usize = 32;

fn message(challenge: &[u8]) -> Vec<u8> {
    [CONTEXT, challenge].concat()
}

/// The public key of a secret one.
pub fn public(secret: &[u8; 32]) -> [u8; 32] {
    SigningKey::from_bytes(secret).verifying_key().to_bytes()
}

/// The data of `Prove`.
pub fn sign(secret: &[u8; 32], challenge: &[u8]) -> Vec<u8> {
    let key = SigningKey::from_bytes(secret);
    [&key.verifying_key().to_bytes()[..], &key.sign(&message(challenge)).to_bytes()].concat()
}

/// The public key that signed, if the signature is good.
pub fn verify(data: &[u8], challenge: &[u8]) -> Option<[u8; 32]> {
    let (public, signature) = data.split_first_chunk::<32>()?;
    let signature = Signature::from_slice(signature).ok()?;
    let key = VerifyingKey::from_bytes(public).ok()?;
    key.verify_strict(&message(challenge), &signature).ok().map(|()| *public)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_signs_and_only_this_challenge() {
        let (secret, challenge) = ([7; 32], [1; 32]);
        let proof = sign(&secret, &challenge);
        assert_eq!(verify(&proof, &challenge), Some(public(&secret)));
        assert_eq!(verify(&proof, &[2; 32]), None);
        assert_eq!(verify(&proof[..95], &challenge), None);
        let mut other = proof;
        other[..32].copy_from_slice(&public(&[8; 32]));
        assert_eq!(verify(&other, &challenge), None);
    }
}
