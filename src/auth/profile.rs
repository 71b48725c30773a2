//! What users see and change of themselves, and see of others.

use parlance_actors::ports::store::{Account, Who};
use parlance_schema::limits::{EMAIL_BYTES_MAX, FULL_NAME_CHARS_MAX, PAGE_DEFAULT, PAGE_MAX};
use parlance_schema::user::{MeView, Principal, UserView};
use parlance_schema::{Code, Fault, UserId};

use super::body::{ChangePassword, UpdateProfile};
use super::{Accounts, Authenticated, account_rules, me_view, store_fault, user_view};

/// Unicode scalar values of a search.
const SEARCH_CHARS_MAX: usize = 100;

/// A change of a profile that keeps the rules.
struct Update {
    full_name: Option<String>,
    email: Option<Option<String>>,
}

impl Update {
    fn check(update: UpdateProfile) -> Result<Self, Fault> {
        update
            .full_name
            .as_deref()
            .map_or(Ok(()), |name| account_rules::sent("full_name", name, FULL_NAME_CHARS_MAX))?;
        update.email.iter().flatten().try_for_each(|email| account_rules::sent("email", email, EMAIL_BYTES_MAX))?;
        let full_name = update.full_name.map(|n| n.trim().to_owned());
        full_name.as_deref().map_or(Ok(()), account_rules::full_name)?;
        let email = update.email.map(|e| e.map(|e| e.trim().to_owned()).filter(|e| !e.is_empty()));
        email.as_ref().and_then(Option::as_deref).map_or(Ok(()), account_rules::email)?;
        Ok(Self { full_name, email })
    }

    fn apply(self, account: &mut Account) {
        if let Some(name) = self.full_name {
            account.full_name = if name.is_empty() { account.username.clone() } else { name };
        }
        if let Some(email) = self.email {
            account.email = email;
        }
    }
}

impl Accounts {
    /// The caller's own account.
    ///
    /// # Errors
    /// The store's faults.
    pub async fn me(&self, who: Principal) -> Result<MeView, Fault> {
        let account = self.account(Who::Id(who.user)).await?;
        account.as_ref().map(me_view).ok_or_else(|| Fault::not_found("there is no such user"))
    }

    /// Changes the caller's name to show or e-mail address.
    ///
    /// # Errors
    /// `invalid` for what breaks a rule, `exists` for an address that is taken, or the store's faults.
    pub async fn update_profile(&self, who: Principal, update: UpdateProfile) -> Result<MeView, Fault> {
        let update = Update::check(update)?;
        let (account, ()) = self
            .change(who.user, |account| {
                update.apply(account);
                Ok(())
            })
            .await?;
        Ok(me_view(&account))
    }

    /// Changes the caller's password. All other logins end, and all access tokens are void: the caller's own login goes on
    /// with a refresh.
    ///
    /// # Errors
    /// `bad_credentials` when the old password is wrong, `invalid` for a new one that breaks a rule, `busy`, or the store's
    /// faults.
    pub async fn change_password(&self, who: &Authenticated, change: ChangePassword) -> Result<(), Fault> {
        self.revise(who, UpdateProfile::default(), change).await.map(|_| ())
    }

    /// Changes the caller's profile and password, both or neither.
    ///
    /// # Errors
    /// As for [`Self::update_profile`] and [`Self::change_password`].
    pub async fn revise(
        &self,
        who: &Authenticated,
        update: UpdateProfile,
        change: ChangePassword,
    ) -> Result<MeView, Fault> {
        let user = who.principal.user;
        let wrong = || Fault::new(Code::BadCredentials, "`old_password` is not your current password");
        let update = Update::check(update)?;
        if !account_rules::may_be(&change.old_password) {
            return Err(wrong());
        }
        let account = self.account(Who::Id(user)).await?;
        let account = account.ok_or_else(|| Fault::not_found("there is no such user"))?;
        let email = update.email.as_ref().unwrap_or(&account.email).as_deref();
        let full_name = update.full_name.as_deref().unwrap_or(&account.full_name);
        let names = [account.username.as_str(), full_name].into_iter().chain(email);
        self.hasher.check_new(&change.new_password, names).await?;
        let stored = account.password;
        if !self.hasher.verify(&change.old_password, stored.as_deref()).await? {
            return Err(wrong());
        }
        let hash = self.hasher.hash(&change.new_password).await?;
        let (account, ()) = self
            .change(user, |account| {
                // Another change came first: the old password is no longer the one that was checked.
                if account.password != stored {
                    return Err(wrong());
                }
                update.apply(account);
                account.password = Some(hash);
                self.void_until_now(account);
                Ok(())
            })
            .await?;
        let revoked = self.ports.store.revoke_families(user, who.family.as_deref()).await;
        self.publish_revoked(user, account.valid_after);
        revoked.map_err(|e| store_fault(&e))?;
        Ok(me_view(&account))
    }

    /// Several users of the caller's tenant; those that don't exist, or are elsewhere, are left out.
    ///
    /// # Errors
    /// `invalid` for more than 200 ids, or the store's faults.
    pub async fn users(&self, who: Principal, ids: &[UserId]) -> Result<Vec<UserView>, Fault> {
        if ids.len() > PAGE_MAX {
            return Err(Fault::invalid(format!("`ids` must name at most {PAGE_MAX} users")));
        }
        let accounts = self.ports.store.accounts(ids).await.map_err(|e| store_fault(&e))?;
        Ok(accounts.iter().filter(|a| a.tenant == who.tenant).map(user_view).collect())
    }

    /// Active users of the caller's tenant whose username or full name has `text` in it. E-mail addresses are neither
    /// looked at nor shown.
    ///
    /// # Errors
    /// `invalid` for an empty or overlong text or a limit over 200, or the store's faults.
    pub async fn search(&self, who: Principal, text: &str, limit: Option<usize>) -> Result<Vec<UserView>, Fault> {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > SEARCH_CHARS_MAX {
            return Err(Fault::invalid(format!("`q` must have 1 to {SEARCH_CHARS_MAX} characters")));
        }
        let limit = limit.unwrap_or(PAGE_DEFAULT);
        if !(1..=PAGE_MAX).contains(&limit) {
            return Err(Fault::invalid(format!("`limit` must be an integer from 1 to {PAGE_MAX}")));
        }
        let found = self.ports.store.search_accounts(who.tenant, text, limit).await.map_err(|e| store_fault(&e))?;
        Ok(found.iter().map(user_view).collect())
    }
}
