//! What moderators and the operator do to accounts. Each act is noted in the audit.

use parlance_actors::ports::store::{Account, Who};
use parlance_schema::user::{MeView, Principal, Role};
use parlance_schema::{Fault, TenantId, UserId};

use super::login::NewAccount;
use super::{Accounts, me_view, store_fault};
use crate::secret::Secret;

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Whoever holds the machine, on the command line; noted as the account itself.
    Operator,
    /// A user, who must moderate the account's tenant.
    User(Principal),
}

impl By {
    /// Refuses whoever may not touch this account; to those who moderate nothing there, it doesn't exist.
    fn may_touch(self, account: &Account) -> Result<(), Fault> {
        let By::User(who) = self else { return Ok(()) };
        if who.role < Role::TenantAdmin {
            return Err(Fault::forbidden("only administrators may change accounts"));
        }
        if !who.moderates(account.tenant) {
            return Err(Fault::not_found("there is no such user"));
        }
        if who.user == account.id {
            return Err(Fault::forbidden(
                "you can't change your own role, or disable your own account: ask another administrator",
            ));
        }
        if account.role > who.role {
            return Err(Fault::forbidden("you can't change this account: its role is higher than yours"));
        }
        Ok(())
    }

    fn may_grant(self, role: Role) -> Result<(), Fault> {
        match self {
            By::User(who) if role > who.role => {
                Err(Fault::forbidden("you can't give anyone a role higher than your own"))
            }
            _ => Ok(()),
        }
    }
}

impl Accounts {
    /// Makes an account on the command line; without a password it can't log in with one.
    ///
    /// # Errors
    /// As for registering.
    pub async fn add(
        &self,
        tenant: TenantId,
        username: String,
        email: Option<String>,
        full_name: Option<String>,
        password: Option<Secret>,
        role: Role,
    ) -> Result<Account, Fault> {
        let account = self.create(NewAccount { tenant, username, email, full_name, password, role }).await?;
        self.audit(By::Operator, &account, &format!("added with role {}", role.word())).await?;
        Ok(account)
    }

    /// Gives an account another role. Its access tokens are void; its logins go on with a refresh.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, or the store's faults.
    pub async fn set_role(&self, by: By, user: UserId, role: Role) -> Result<MeView, Fault> {
        let (account, before) = self
            .change(user, |account| {
                by.may_touch(account)?;
                by.may_grant(role)?;
                let before = account.role;
                if before != role {
                    account.role = role;
                    self.void_until_now(account);
                }
                Ok(before)
            })
            .await?;
        if before != role {
            self.publish_revoked(user, account.valid_after);
            self.audit(by, &account, &format!("role changed from {} to {}", before.word(), role.word())).await?;
        }
        Ok(me_view(&account))
    }

    /// Disables an account or enables it again. A disabled one is out at once: logins ended, tokens void, sockets closed.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, or the store's faults; if disabling fails halfway, doing it again completes it.
    pub async fn set_active(&self, by: By, user: UserId, active: bool) -> Result<MeView, Fault> {
        let (account, changed) = self
            .change(user, |account| {
                by.may_touch(account)?;
                let changed = account.active != active;
                account.active = active;
                if changed && !active {
                    self.void_until_now(account);
                }
                Ok(changed)
            })
            .await?;
        if !active {
            self.publish_revoked(user, account.valid_after);
            self.ports.store.revoke_families(user, None).await.map_err(|e| store_fault(&e))?;
        }
        if changed {
            self.audit(by, &account, if active { "enabled" } else { "disabled" }).await?;
        }
        Ok(me_view(&account))
    }

    /// Gives an account a new password, on the command line. All its logins end.
    ///
    /// # Errors
    /// `invalid` for a password that breaks a rule, `not_found`, or the store's faults.
    pub async fn reset_password(&self, user: UserId, password: &Secret) -> Result<(), Fault> {
        let account = self.account(Who::Id(user)).await?.ok_or_else(|| Fault::not_found("there is no such user"))?;
        let names = [account.username.as_str(), account.full_name.as_str()].into_iter().chain(account.email.as_deref());
        self.hasher.check_new(password, names).await?;
        let hash = self.hasher.hash(password).await?;
        let (account, ()) = self
            .change(user, |account| {
                account.password = Some(hash);
                self.void_until_now(account);
                Ok(())
            })
            .await?;
        self.publish_revoked(user, account.valid_after);
        self.ports.store.revoke_families(user, None).await.map_err(|e| store_fault(&e))?;
        self.audit(By::Operator, &account, "password reset").await
    }

    /// Finds an account on the command line: by id where the text is a number, else by username or e-mail address.
    ///
    /// # Errors
    /// `not_found`, or the store's faults.
    pub async fn find(&self, tenant: TenantId, text: &str) -> Result<Account, Fault> {
        let who = match text.parse::<UserId>() {
            Ok(id) => Who::Id(id),
            Err(_) if text.contains('@') => Who::Email(tenant, text),
            Err(_) => Who::Username(tenant, text),
        };
        self.account(who).await?.ok_or_else(|| Fault::not_found(format!("there is no user {text} in tenant {tenant}")))
    }

    /// An account without a password, for load tests and demonstrations: the one of that name, or a new one.
    ///
    /// # Errors
    /// As for registering.
    pub async fn seed(&self, tenant: TenantId, username: String) -> Result<Account, Fault> {
        match self.account(Who::Username(tenant, &username)).await? {
            Some(account) => Ok(account),
            None => {
                let (email, full_name, password, role) = (None, None, None, Role::User);
                self.create(NewAccount { tenant, username, email, full_name, password, role }).await
            }
        }
    }

    /// Active accounts of a tenant, for the command line; with all of their fields.
    ///
    /// # Errors
    /// The store's faults.
    pub async fn list(&self, tenant: TenantId, text: &str, limit: usize) -> Result<Vec<Account>, Fault> {
        self.ports.store.search_accounts(tenant, text, limit).await.map_err(|e| store_fault(&e))
    }

    async fn audit(&self, by: By, account: &Account, what: &str) -> Result<(), Fault> {
        let (actor, door) = match by {
            By::Operator => (account.id, "on the command line"),
            By::User(who) => (who.user, "by an administrator"),
        };
        let at = self.ports.clock.now();
        let what = format!("user {} {what} {door}", account.id);
        tracing::info!(by = actor.get(), user = account.id.get(), what, "account changed");
        self.ports.store.audit(at, actor, None, &what).await.map_err(|e| store_fault(&e))
    }
}
