//! Access tokens that were checked lately. What a token says never changes, so its signature need not be looked at each time;
//! its time, how its account stands and whether its login has ended are.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::token::Checked;

/// Tokens that a generation holds; two are remembered.
const TOKENS_MAX: usize = 16_384;

/// A token's SHA-256, so that no token is kept.
type Digest32 = [u8; 32];

/// What a set of keys was found to have signed: it is forgotten with them.
#[derive(Default)]
pub(super) struct VerifiedTokens(Mutex<Generations>);

/// When the younger generation is full, it is the older one, and what was not asked for since is forgotten.
#[derive(Default)]
struct Generations {
    young: HashMap<Digest32, Checked>,
    old: HashMap<Digest32, Checked>,
}

impl VerifiedTokens {
    /// The name of a token.
    pub(super) fn name(token: &str) -> Digest32 {
        Sha256::digest(token).into()
    }

    /// What a token says that was checked.
    pub(super) fn get(&self, name: &Digest32) -> Option<Checked> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(checked) = seen.young.get(name) {
            return Some(checked.clone());
        }
        let checked = seen.old.remove(name)?;
        seen.put(*name, checked.clone());
        Some(checked)
    }

    /// Remembers a token whose signature is good.
    pub(super) fn put(&self, name: Digest32, checked: Checked) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(name, checked);
    }
}

impl Generations {
    fn put(&mut self, name: Digest32, checked: Checked) {
        if self.young.len() >= TOKENS_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(name, checked);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_asked_for_stays_and_the_number_is_bounded() {
        let seen = VerifiedTokens::default();
        let checked = |expires_at| Checked {
            user: parlance_schema::UserId::new(1),
            tenant: parlance_schema::id::TENANT_DEFAULT,
            issued_at: 0,
            expires_at,
            family: None,
        };
        let name = |n: usize| VerifiedTokens::name(&n.to_string());
        for n in 0..5 * TOKENS_MAX {
            seen.put(name(n), checked(n as u64));
            assert_eq!(seen.get(&name(0)), Some(checked(0)), "after {n}");
        }
        assert_eq!(seen.get(&name(1)), None);
        assert_eq!(seen.get(&name(5 * TOKENS_MAX - 1)), Some(checked(5 * TOKENS_MAX as u64 - 1)));
        let kept = seen.0.lock().unwrap();
        assert!(kept.young.len() + kept.old.len() <= 2 * TOKENS_MAX);
    }
}
