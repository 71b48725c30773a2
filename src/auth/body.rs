//! What clients send and get.

use parlance_schema::TenantId;
use parlance_schema::user::MeView;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::secret::Secret;

/// A new account.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// 3 to 50 letters and digits of any script, dots, underscores and hyphens; unique without regard to case and to how its
    /// letters are written (RFC 8265).
    #[schema(min_length = 3, max_length = 50)]
    pub username: String,
    /// At least 8 characters, and at most 256 bytes; not one that is easy to guess: a common one, a repetition, a row of keys, a date, or
    /// little more than the user's names.
    #[schema(value_type = String, format = Password, max_length = 256)]
    pub password: Secret,
    /// Shown to nobody else.
    #[serde(default)]
    #[schema(max_length = 254)]
    pub email: Option<String>,
    /// The name to show, up to 100 characters; the username where it is absent.
    #[serde(default)]
    #[schema(max_length = 100)]
    pub full_name: Option<String>,
}

/// A login.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The username or the e-mail address.
    pub username: String,
    /// The password.
    pub password: Secret,
    /// The tenant, where it is not the default one.
    #[serde(default)]
    pub tenant: Option<TenantId>,
}

/// A renewal, or the end, of a login.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The refresh token that was given last.
    pub refresh_token: Secret,
}

/// What a login gives.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Grant {
    /// Who has logged in.
    pub user: MeView,
    /// The token for requests.
    pub access_token: Secret,
    /// The token for the next renewal; good once.
    pub refresh_token: Secret,
    /// Seconds that the access token is good for.
    pub expires_in: u64,
}

/// A change of what a user says of themselves; what is absent stays.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateProfile {
    /// The name to show; empty for the username.
    #[serde(default)]
    #[schema(max_length = 100)]
    pub full_name: Option<String>,
    /// The e-mail address; `null` removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 254)]
    pub email: Option<Option<String>>,
}

/// A change of password.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The present password.
    pub old_password: Secret,
    /// The one from now on, with at least 8 characters and at most 256 bytes.
    #[schema(value_type = String, format = Password, max_length = 256)]
    pub new_password: Secret,
}

/// Tells a field that is `null` from one that is absent.
fn present<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(field).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_not_absent() {
        let read = |text| serde_json::from_str::<UpdateProfile>(text).unwrap().email;
        assert_eq!(read("{}"), None);
        assert_eq!(read(r#"{"email": null}"#), Some(None));
        assert_eq!(read(r#"{"email": "a@b.org"}"#), Some(Some("a@b.org".into())));
    }

    #[test]
    fn bodies_hide_their_secrets_and_refuse_strange_fields() {
        let login: Login = serde_json::from_str(r#"{"username": "bob", "password": "hunter42"}"#).unwrap();
        assert!(!format!("{login:?}").contains("hunter"));
        assert!(
            serde_json::from_str::<Login>(r#"{"username": "bob", "password": "x", "role": "super_admin"}"#).is_err()
        );
        assert!(serde_json::from_str::<Register>(r#"{"username": "bob", "password": "x", "tenant": 2}"#).is_err());
    }
}
