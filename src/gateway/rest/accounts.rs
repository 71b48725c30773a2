//! What the gateway asks of the accounts: tokens to users, users to tokens, oneself, and who else there is.

use async_trait::async_trait;
use parlance_schema::Fault;
use parlance_schema::account::{MeView, Principal, UserView};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Accounts and tokens, for all doors.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Checks an access token.
    ///
    /// # Errors
    /// When it is not valid, has expired or was revoked.
    async fn authenticate(&self, token: &str) -> Result<Principal, Fault>;

    /// Makes an account and logs it in.
    ///
    /// # Errors
    /// When a field is out of bounds or a name is taken.
    async fn register(&self, form: Registration) -> Result<Login, Fault>;

    /// Logs in with a username or e-mail address.
    ///
    /// # Errors
    /// When name and password don't fit; nothing tells which.
    async fn login(&self, form: Credentials) -> Result<Login, Fault>;

    /// Exchanges a refresh token for new tokens.
    ///
    /// # Errors
    /// When it is not good; one that was used before revokes the whole login.
    async fn refresh(&self, token: &str) -> Result<Login, Fault>;

    /// Ends a login.
    ///
    /// # Errors
    /// When the refresh token is not good.
    async fn logout(&self, token: &str) -> Result<(), Fault>;

    /// Shows the caller.
    ///
    /// # Errors
    /// When the store fails.
    async fn me(&self, who: Principal) -> Result<MeView, Fault>;

    /// Changes what is shown of the caller.
    ///
    /// # Errors
    /// When a field is out of bounds or the address is taken.
    async fn change_me(&self, who: Principal, change: MeChange) -> Result<MeView, Fault>;

    /// Changes the caller's password and ends all other logins.
    ///
    /// # Errors
    /// When the old one is wrong or the new one out of bounds.
    async fn change_password(&self, who: Principal, change: PasswordChange) -> Result<(), Fault>;

    /// Finds users of the caller's tenant by username and full name.
    ///
    /// # Errors
    /// When the store fails.
    async fn search(&self, who: Principal, text: &str) -> Result<Vec<UserView>, Fault>;
}

/// An account to make.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// Unique, without regard to case.
    #[schema(min_length = 1, max_length = 50)]
    pub username: String,
    /// In bytes of UTF-8, 8 to 256.
    #[schema(min_length = 2, max_length = 256, format = Password)]
    pub password: String,
    /// Unique, without regard to case; shown to nobody else.
    #[serde(default)]
    #[schema(max_length = 254)]
    pub email: Option<String>,
    /// The name to show.
    #[serde(default)]
    #[schema(max_length = 100)]
    pub full_name: Option<String>,
}

/// A name and a password.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// The username, or the e-mail address.
    pub username: String,
    /// The password.
    #[schema(format = Password)]
    pub password: String,
}

/// A refresh token.
#[derive(Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshToken {
    /// As the last login or refresh gave it.
    pub refresh_token: String,
}

/// What to change of oneself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MeChange {
    /// The name to show.
    #[serde(default)]
    #[schema(max_length = 100)]
    pub full_name: Option<String>,
    /// The e-mail address.
    #[serde(default)]
    #[schema(max_length = 254)]
    pub email: Option<String>,
}

/// A password to replace.
#[derive(Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The present one.
    #[schema(format = Password)]
    pub old_password: String,
    /// The new one.
    #[schema(min_length = 2, max_length = 256, format = Password)]
    pub new_password: String,
}

/// A login: who, and the tokens.
#[derive(Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Login {
    /// Who.
    pub user: MeView,
    /// For `Authorization`.
    pub access_token: String,
    /// For the next refresh; good once.
    pub refresh_token: String,
    /// Seconds that the access token is good for.
    pub expires_in: u64,
}
