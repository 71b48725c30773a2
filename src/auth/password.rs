//! Password hashes: argon2id, on threads of their own, no more at once than there are cores, and a bounded queue before them.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use parlance_schema::{Code, Fault};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{account_rules, precis};
use crate::config;
use crate::secret::Secret;

/// Hashes that may wait for a core; one more is refused. At some 30 ms a hash, the last one waits for two seconds or so.
const WAITING_PER_CORE_MAX: usize = 64;

/// Dearest argon2 hash from elsewhere that is taken over, in KiB and passes: checking it must not starve the other logins.
const ARGON2_KIB_MAX: u32 = 256 * 1024;
const ARGON2_PASSES_MAX: u32 = 16;
/// Costs of bcrypt hashes from elsewhere that are taken over; each doubles the time, 15 is some two seconds.
const BCRYPT_COSTS: std::ops::RangeInclusive<u32> = 4..=15;

/// Whether a hash from elsewhere can be checked at login, at a cost that can be borne. It is renewed then.
pub(crate) fn acceptable(stored: &str) -> bool {
    if is_bcrypt(stored) {
        return stored.parse::<bcrypt::HashParts>().is_ok_and(|parts| BCRYPT_COSTS.contains(&parts.get_cost()));
    }
    let Ok(hash) = PasswordHash::new(stored) else { return false };
    let known = Algorithm::new(hash.algorithm.as_str()).is_ok();
    let cheap = Params::try_from(&hash)
        .is_ok_and(|params| params.m_cost() <= ARGON2_KIB_MAX && params.t_cost() <= ARGON2_PASSES_MAX);
    known && cheap && hash.hash.is_some()
}

/// Whether a hash is bcrypt's, as other services have them; their passwords are hashed anew at the next login.
fn is_bcrypt(stored: &str) -> bool {
    ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|prefix| stored.starts_with(prefix))
}

/// Makes and checks password hashes.
pub(super) struct Hasher {
    params: Params,
    /// One permit per hash that runs or waits.
    room: Arc<Semaphore>,
    /// One permit per core.
    cores: Arc<Semaphore>,
    /// A hash of the present cost that no password is checked against for real.
    dummy: Arc<str>,
}

impl Hasher {
    /// A hasher of the configured cost, for `cores` cores.
    ///
    /// # Errors
    /// When argon2 refuses the cost.
    pub(super) fn new(cost: &config::Argon2, cores: usize) -> Result<Self, String> {
        let cores = cores.max(1);
        Self::with_queue(cost, cores, cores * WAITING_PER_CORE_MAX)
    }

    fn with_queue(cost: &config::Argon2, cores: usize, waiting: usize) -> Result<Self, String> {
        let params =
            Params::new(cost.memory_kib, cost.iterations, cost.lanes, None).map_err(|e| format!("auth.argon2: {e}"))?;
        // Its salt is random like any other's; what it hashes is of no account.
        let dummy = hash(&params, b"no account has this").map_err(|e| format!("auth.argon2: {e}"))?;
        Ok(Self {
            params,
            room: Arc::new(Semaphore::new(cores + waiting)),
            cores: Arc::new(Semaphore::new(cores)),
            dummy: dummy.into(),
        })
    }

    /// Checks a new password of somebody with these names: its length, its characters, and that it is not easily guessed. Estimating
    /// that takes milliseconds, so it has its turn like a hash.
    ///
    /// # Errors
    /// Which rule it breaks, and what to do; `busy` when too many wait.
    pub(super) async fn check_new<'a>(
        &self,
        password: &Secret,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), Fault> {
        let (password, names) = (password.clone(), names.into_iter().map(str::to_owned).collect::<Vec<_>>());
        self.run(move || account_rules::password(&password, names.iter().map(String::as_str))).await?
    }

    /// Hashes a new password, to PHC form.
    ///
    /// # Errors
    /// `busy` when too many wait.
    pub(super) async fn hash(&self, password: &Secret) -> Result<String, Fault> {
        let (params, password) = (self.params.clone(), Secret::new(precis::prepared(password.reveal())));
        self.run(move || hash(&params, password.reveal().as_bytes())).await?.map_err(|error| {
            tracing::error!(%error, "a password could not be hashed");
            Fault::internal("the password could not be saved: try again")
        })
    }

    /// Whether a password is the one that was hashed, in whichever form its letters were written then. Without a hash it takes
    /// as long, and the answer is no.
    ///
    /// # Errors
    /// `busy` when too many wait.
    pub(super) async fn verify(&self, password: &Secret, stored: Option<&str>) -> Result<bool, Fault> {
        let known = stored.is_some();
        let stored: Arc<str> = stored.map_or_else(|| self.dummy.clone(), Arc::from);
        let forms = forms(password.reveal());
        let same = self.run(move || verify(&forms, &stored)).await?;
        same.map(|same| same && known).map_err(|error| {
            tracing::error!(%error, "a stored password hash can't be read");
            Fault::internal("the password could not be checked: try again")
        })
    }

    /// Whether a hash was made at another cost than the present one.
    pub(super) fn is_dated(&self, stored: &str) -> bool {
        if is_bcrypt(stored) {
            return true;
        }
        let present = PasswordHash::new(&self.dummy);
        let stored = PasswordHash::new(stored);
        match (present, stored) {
            (Ok(a), Ok(b)) => (a.algorithm, a.version, a.params) != (b.algorithm, b.version, b.params),
            _ => false,
        }
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
        let place = self.room.clone().try_acquire_owned().map_err(|_| {
            metrics::counter!("parlance_password_hashes_refused_total").increment(1);
            Fault::busy("too many logins are in progress: try again in a moment")
        })?;
        let core = self
            .cores
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| Fault::new(Code::Restarting, "the server is shutting down: try again in a moment"))?;
        // The permits go along: a caller who has gone away frees its place when the hash is done, not before.
        let permits: (OwnedSemaphorePermit, OwnedSemaphorePermit) = (place, core);
        tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permits);
            done
        })
        .await
        .map_err(|_| Fault::internal("the password could not be checked: try again"))
    }
}

/// How a password may have been written when it was hashed: as hashes are made here, as it was typed, and with its
/// letters composed or taken apart, as keyboards send them. Mostly that is one form.
fn forms(password: &str) -> Vec<Secret> {
    let mut forms = vec![precis::prepared(password)];
    for form in [password.to_owned(), precis::composed(password), precis::decomposed(password)] {
        if !forms.contains(&form) {
            forms.push(form);
        }
    }
    forms.into_iter().map(Secret::new).collect()
}

fn verify(forms: &[Secret], stored: &str) -> argon2::password_hash::phc::Result<bool> {
    if is_bcrypt(stored) {
        return Ok(forms.iter().any(|form| verify_bcrypt(form.reveal(), stored)));
    }
    let hash = PasswordHash::new(stored)?;
    Ok(forms.iter().any(|form| Argon2::default().verify_password(form.reveal().as_bytes(), &hash).is_ok()))
}

/// Whether bcrypt's hash is that of all of a password. What bcrypt doesn't see is no part of what was checked: it stops after
/// 72 bytes, its terminator among them, and many of its libraries stop at a NUL. A password that it may not have seen whole
/// is refused; its owner needs a new one.
fn verify_bcrypt(password: &str, stored: &str) -> bool {
    !password.contains('\0') && bcrypt::non_truncating_verify(password, stored).unwrap_or(false)
}

fn hash(params: &Params, password: &[u8]) -> argon2::password_hash::Result<String> {
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    let hash: PasswordHash = argon.hash_password(password)?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use parlance_schema::Code;

    use super::*;

    fn cheap() -> config::Argon2 {
        config::Argon2 { memory_kib: 64, iterations: 1, lanes: 1 }
    }

    #[tokio::test]
    async fn a_hash_fits_its_password_only() {
        let hasher = Hasher::new(&cheap(), 2).unwrap();
        let hash = hasher.hash(&"pässwörd".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{hash}");
        assert!(hasher.verify(&"pässwörd".into(), Some(&hash)).await.unwrap());
        assert!(!hasher.verify(&"passwort".into(), Some(&hash)).await.unwrap());
        assert!(!hasher.verify(&"no account has this".into(), None).await.unwrap());
        assert_ne!(hash, hasher.hash(&"pässwörd".into()).await.unwrap(), "the salt is new each time");
    }

    #[tokio::test]
    async fn a_hash_of_another_cost_is_good_and_dated() {
        let old = Hasher::new(&cheap(), 1).unwrap();
        let new = Hasher::new(&config::Argon2 { iterations: 2, ..cheap() }, 1).unwrap();
        let hash = old.hash(&"password".into()).await.unwrap();
        assert!(new.verify(&"password".into(), Some(&hash)).await.unwrap());
        assert!(new.is_dated(&hash));
        assert!(!old.is_dated(&hash));
    }

    #[tokio::test]
    async fn one_too_many_is_refused_as_busy() {
        let hasher = Hasher::with_queue(&cheap(), 1, 1).unwrap();
        let running = hasher.room.clone().try_acquire_owned().unwrap();
        let waiting = hasher.room.clone().try_acquire_owned().unwrap();
        let fault = hasher.verify(&"password".into(), None).await.unwrap_err();
        assert_eq!(fault.code, Code::Busy);
        assert!(fault.retry_after_ms.is_some());
        drop((running, waiting));
        assert!(!hasher.verify(&"password".into(), None).await.unwrap());
    }

    #[tokio::test]
    async fn hashes_of_other_services_are_good_and_dated() {
        let hasher = Hasher::new(&cheap(), 1).unwrap();
        for prefix in ["$2a$", "$2b$", "$2y$"] {
            let hash = bcrypt::hash_with_result("pässwörd", 4).unwrap().format_for_version(match prefix {
                "$2a$" => bcrypt::Version::TwoA,
                "$2b$" => bcrypt::Version::TwoB,
                _ => bcrypt::Version::TwoY,
            });
            assert!(hash.starts_with(prefix) && acceptable(&hash) && hasher.is_dated(&hash), "{hash}");
            assert!(hasher.verify(&"pässwörd".into(), Some(&hash)).await.unwrap(), "{hash}");
            assert!(!hasher.verify(&"passwort".into(), Some(&hash)).await.unwrap(), "{hash}");
        }
    }

    #[tokio::test]
    async fn bcrypt_lets_in_only_what_it_saw_whole() {
        let hasher = Hasher::new(&cheap(), 1).unwrap();
        let p = |count: usize| "p".repeat(count);
        for (hashed, typed, right) in [
            (p(71), p(71), true),
            (p(72) + "-the-right-end", p(72) + "-a-typo", false),
            (p(72) + "-the-right-end", p(72) + "-the-right-end", false),
            (p(72) + "-the-right-end", p(72), false),
            (p(72) + "-the-right-end", p(71), false),
            (p(72), p(72), false),
            (p(71), p(72), false),
            (p(71) + "ä", p(71) + "ö", false),
            ("right".to_owned(), "right\0wrong".to_owned(), false),
            ("right\0end".to_owned(), "right\0end".to_owned(), false),
            (String::new(), "\0wrong".to_owned(), false),
        ] {
            let hash = bcrypt::hash(&hashed, 4).unwrap();
            let said = hasher.verify(&typed.as_str().into(), Some(&hash)).await.unwrap();
            assert_eq!(said, right, "{typed:?} for {hashed:?}");
        }
    }

    #[tokio::test]
    async fn argon2_sees_all_of_a_password() {
        let hasher = Hasher::new(&cheap(), 1).unwrap();
        let long = "p".repeat(200);
        let hash = hasher.hash(&format!("{long}-the-right-end").as_str().into()).await.unwrap();
        assert!(hasher.verify(&format!("{long}-the-right-end").as_str().into(), Some(&hash)).await.unwrap());
        for wrong in [format!("{long}-a-typo"), long.clone(), "p".repeat(72), format!("{long}-the-right-end\0")] {
            assert!(!hasher.verify(&wrong.as_str().into(), Some(&hash)).await.unwrap(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn letters_may_be_composed_or_taken_apart() {
        let hasher = Hasher::new(&cheap(), 1).unwrap();
        let (composed, apart) = ("pässwörd é\u{a0}한", precis::decomposed("pässwörd é\u{a0}한"));
        assert_ne!(composed, apart);
        let here = hasher.hash(&composed.into()).await.unwrap();
        // Other services hash what is typed.
        for hash in [here, bcrypt::hash(composed, 4).unwrap(), bcrypt::hash(&apart, 4).unwrap()] {
            for typed in [composed, &apart] {
                assert!(hasher.verify(&typed.into(), Some(&hash)).await.unwrap(), "{hash}");
            }
            assert!(!hasher.verify(&"password e 한".into(), Some(&hash)).await.unwrap());
        }
    }

    #[test]
    fn hashes_that_cannot_be_checked_are_told() {
        let salt_and_hash = "$c29tZXNhbHQxMjM$iUr0/y4tJvPOFfd6fhwl20W04gQ56ZYXcroZnK3bAB4";
        assert!(acceptable(&format!("$argon2id$v=19$m=65536,t=3,p=4{salt_and_hash}")));
        assert!(acceptable(&format!("$argon2i$v=19$m=4096,t=3,p=1{salt_and_hash}")));
        for bad in [
            "",
            "hunter2",
            "$1$abc$def",
            "pbkdf2:sha256:260000$abc$def",
            "$2b$31$C6UzMDM.H6dfI/f/IKcEeO7ZxLAq1l3M8zXoqyU4VhXk6rQxT1m4K",
            "$2b$12$short",
            "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQxMjM",
            &format!("$argon2id$v=19$m=4194304,t=3,p=4{salt_and_hash}"),
            &format!("$argon2id$v=19$m=65536,t=4000,p=4{salt_and_hash}"),
            &format!("$scrypt$ln=16,r=8,p=1{salt_and_hash}"),
        ] {
            assert!(!acceptable(bad), "{bad}");
        }
    }

    #[test]
    fn an_impossible_cost_is_refused() {
        assert!(Hasher::new(&config::Argon2 { memory_kib: 1, iterations: 1, lanes: 1 }, 1).is_err());
    }
}
