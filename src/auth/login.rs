//! Register, login, refresh, logout.

use parlance_actors::ports::store::{Account, AccountError, Family, StoreError, Who};
use parlance_schema::id::TENANT_DEFAULT;
use parlance_schema::limits::{EMAIL_BYTES_MAX, FULL_NAME_CHARS_MAX};
use parlance_schema::user::{MeView, Role};
use parlance_schema::{Code, Fault, Millis, TenantId};

use super::body::{Grant, Login, Refresh, Register};
use super::{Accounts, account_fault, account_rules, me_view, store_fault, token};
use crate::config::Registration;
use crate::secret::{self, Secret};

/// What a new account is made of.
pub(super) struct NewAccount {
    pub(super) tenant: TenantId,
    pub(super) username: String,
    pub(super) email: Option<String>,
    pub(super) full_name: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) role: Role,
}

impl Accounts {
    /// Makes an account in the default tenant and logs it in.
    ///
    /// # Errors
    /// `invalid` for what breaks a rule, `exists` for a name or address that is taken, `forbidden` where registration is
    /// closed, `busy`, or the store's faults.
    pub async fn register(&self, new: Register) -> Result<Grant, Fault> {
        let account = self.enrol(new).await?;
        self.begin_family(&account, self.config.access_token_s).await
    }

    /// Makes an account in the default tenant, without logging it in.
    ///
    /// # Errors
    /// As for [`Self::register`].
    pub async fn sign_up(&self, new: Register) -> Result<MeView, Fault> {
        self.enrol(new).await.map(|account| me_view(&account))
    }

    async fn enrol(&self, new: Register) -> Result<Account, Fault> {
        if self.config.registration == Registration::Closed {
            return Err(Fault::forbidden("registration is closed on this server: ask its operator for an account"));
        }
        let new = NewAccount {
            tenant: TENANT_DEFAULT,
            username: new.username,
            email: new.email,
            full_name: new.full_name,
            password: Some(new.password),
            role: Role::User,
        };
        self.create(new).await
    }

    /// Makes an account, after checking all of it.
    pub(super) async fn create(&self, new: NewAccount) -> Result<Account, Fault> {
        new.full_name.as_deref().map_or(Ok(()), |name| account_rules::sent("full_name", name, FULL_NAME_CHARS_MAX))?;
        new.email.as_deref().map_or(Ok(()), |email| account_rules::sent("email", email, EMAIL_BYTES_MAX))?;
        let full_name = new.full_name.map(|n| n.trim().to_owned()).filter(|n| !n.is_empty());
        let email = new.email.map(|e| e.trim().to_owned()).filter(|e| !e.is_empty());
        let username = account_rules::username(&new.username)?;
        email.as_deref().map_or(Ok(()), account_rules::email)?;
        full_name.as_deref().map_or(Ok(()), account_rules::full_name)?;
        if let Some(password) = &new.password {
            let names = [Some(username.as_str()), email.as_deref(), full_name.as_deref()];
            self.hasher.check_new(password, names.into_iter().flatten()).await?;
        }
        // Before a hash is spent on it.
        if self.account(Who::Username(new.tenant, &username)).await?.is_some() {
            return Err(account_fault(&AccountError::UsernameTaken));
        }
        let password = match &new.password {
            Some(password) => Some(self.hasher.hash(password).await?),
            None => None,
        };
        let account = Account {
            id: self.ids.user().await.map_err(|e| store_fault(&e))?,
            tenant: new.tenant,
            full_name: full_name.unwrap_or_else(|| username.clone()),
            username,
            email,
            password,
            role: new.role,
            active: true,
            created_at: self.ports.clock.now(),
            last_seen: None,
            valid_after: 0,
        };
        self.ports.store.create_account(&account).await.map_err(|e| account_fault(&e))?;
        Ok(account)
    }

    /// Logs in by username or e-mail address. Neither the answer nor its time tells whether there is such an account.
    ///
    /// # Errors
    /// `bad_credentials` for all that doesn't fit, `busy`, or the store's faults.
    pub async fn login(&self, login: Login) -> Result<Grant, Fault> {
        self.login_for(login, self.config.access_token_s).await
    }

    /// Logs in with an access token that is good for `life_s` seconds.
    ///
    /// # Errors
    /// As for [`Self::login`].
    pub async fn login_for(&self, login: Login, life_s: u64) -> Result<Grant, Fault> {
        let refused = || Fault::new(Code::BadCredentials, "wrong username or password");
        // No password of such a length was ever taken, whoever's it might be.
        if !account_rules::may_be(&login.password) {
            return Err(refused());
        }
        let tenant = login.tenant.unwrap_or(TENANT_DEFAULT);
        // A username has no '@', so the two can't be mistaken for each other.
        let name = login.username.trim();
        let who = if name.contains('@') { Who::Email(tenant, name) } else { Who::Username(tenant, name) };
        let account = self.account(who).await?;
        let stored = account.as_ref().and_then(|a| a.password.as_deref());
        let right = self.hasher.verify(&login.password, stored).await?;
        let Some(account) = account.filter(|a| right && a.active) else { return Err(refused()) };
        self.renew_hash(&account, &login.password).await;
        self.begin_family(&account, life_s).await
    }

    /// Stores a password's hash anew where it was made at another cost; if that fails, the next login tries again.
    async fn renew_hash(&self, account: &Account, password: &Secret) {
        let Some(old) = account.password.as_deref().filter(|h| self.hasher.is_dated(h)) else { return };
        let Ok(new) = self.hasher.hash(password).await else { return };
        let renewed = self.change(account.id, |a| {
            // A password that was changed meanwhile stays changed.
            if a.password.as_deref() == Some(old) {
                a.password = Some(new);
            }
            Ok(())
        });
        if let Err(fault) = renewed.await {
            tracing::warn!(user = account.id.get(), code = fault.code.word(), "password hash not renewed");
        }
    }

    /// Renews a login: a new access token and a new refresh token for the one given, which is good no more.
    ///
    /// # Errors
    /// `unauthenticated` for a token that never was, `token_expired`, `revoked` for one that was used before (this ends the
    /// login) or whose login has ended, or the store's faults.
    pub async fn refresh(&self, body: Refresh) -> Result<Grant, Fault> {
        let given = token::Refresh::parse(&body.refresh_token)?;
        let family = self.ports.store.family(&given.family).await.map_err(|e| store_fault(&e))?;
        let family = family.ok_or_else(token::Refresh::invalid)?;
        let revoked = || Fault::new(Code::Revoked, "this login has ended: log in again");
        if family.revoked {
            return Err(revoked());
        }
        let now = self.ports.clock.now();
        if family.expires_at <= now {
            return Err(Fault::new(Code::TokenExpired, "the refresh token has expired: log in again"));
        }
        let digest = given.digest();
        if !secret::same(&digest, &family.current) {
            self.end_reused(&family, now).await?;
            return Err(revoked());
        }
        let account = self.account(Who::Id(family.user)).await?.filter(|a| a.active).ok_or_else(revoked)?;
        let next = token::Refresh::next(&family.id, &*self.ports.random);
        if !self.rotate(&family.id, &digest, &next.digest(), self.refresh_end(now)).await? {
            // Somebody else has used the same token in this very moment: one of the two is a thief.
            self.end_reused(&family, now).await?;
            return Err(revoked());
        }
        self.grant(&account, &next, self.config.access_token_s)
    }

    /// Puts the next token in the place of the present one, if that is still there.
    async fn rotate(&self, family: &str, from: &str, to: &str, expires_at: Millis) -> Result<bool, Fault> {
        match self.ports.store.rotate_family(family, from, to, expires_at).await {
            Ok(done) => Ok(done),
            // The new digest is random: if it is there, it was this call that put it there.
            Err(error @ StoreError::Unknown(_)) => {
                let now = self.ports.store.family(family).await.map_err(|e| store_fault(&e))?;
                if now.is_some_and(|f| f.current == to && !f.revoked) { Ok(true) } else { Err(store_fault(&error)) }
            }
            Err(error) => Err(store_fault(&error)),
        }
    }

    /// Ends a login whose refresh token was used twice, with its access tokens and connections. The user's other logins, and
    /// tokens made on the command line, are not touched.
    async fn end_reused(&self, family: &Family, now: Millis) -> Result<(), Fault> {
        tracing::warn!(user = family.user.get(), "a refresh token was used again; the login has ended");
        metrics::counter!("parlance_refresh_reused_total").increment(1);
        self.ports.store.revoke_family(&family.id).await.map_err(|e| store_fault(&e))?;
        self.publish_revoked(family.user, now);
        Ok(())
    }

    /// Ends a login. A token that is good no more is as good as ended, so that logging out twice is no error.
    ///
    /// # Errors
    /// `unauthenticated` for a token that never was, or the store's faults.
    pub async fn logout(&self, body: Refresh) -> Result<(), Fault> {
        let given = token::Refresh::parse(&body.refresh_token)?;
        let family = self.ports.store.family(&given.family).await.map_err(|e| store_fault(&e))?;
        let Some(family) = family.filter(|f| !f.revoked) else { return Ok(()) };
        if !secret::same(&given.digest(), &family.current) {
            self.end_reused(&family, self.ports.clock.now()).await?;
            return Ok(());
        }
        self.ports.store.revoke_family(&family.id).await.map_err(|e| store_fault(&e))?;
        self.publish_revoked(family.user, self.ports.clock.now());
        Ok(())
    }

    pub(super) async fn begin_family(&self, account: &Account, life_s: u64) -> Result<Grant, Fault> {
        let first = token::Refresh::first(&*self.ports.random);
        let family = Family {
            id: first.family.clone(),
            user: account.id,
            current: first.digest(),
            expires_at: self.refresh_end(self.ports.clock.now()),
            revoked: false,
        };
        self.ports.store.create_family(&family).await.map_err(|e| store_fault(&e))?;
        self.grant(account, &first, life_s)
    }

    fn grant(&self, account: &Account, refresh: &token::Refresh, life_s: u64) -> Result<Grant, Fault> {
        Ok(Grant {
            user: me_view(account),
            access_token: self.sign(account, Some(&refresh.family), life_s)?,
            refresh_token: refresh.text(),
            expires_in: life_s,
        })
    }

    fn refresh_end(&self, now: Millis) -> Millis {
        now + self.config.refresh_token_s * 1_000
    }
}
