//! Users, their roles in the installation, and what is shown of them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::{Millis, TenantId, UserId};

/// What a user may do in the installation; rooms have roles of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads what others write.
    Readonly,
    /// Writes, opens rooms.
    User,
    /// What a user may, under the name that other services give to their staff.
    Manager,
    /// Moderates all rooms and users of one tenant.
    TenantAdmin,
    /// Moderates everything, and sees the operator's views.
    SuperAdmin,
}

impl Role {
    /// All roles, from the least to the most.
    pub const ALL: [Role; 5] = [Role::Readonly, Role::User, Role::Manager, Role::TenantAdmin, Role::SuperAdmin];

    /// The role's word, as in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Role::Readonly => "readonly",
            Role::User => "user",
            Role::Manager => "manager",
            Role::TenantAdmin => "tenant_admin",
            Role::SuperAdmin => "super_admin",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Role::ALL.into_iter().find(|r| r.word() == word).ok_or_else(|| {
            let words: Vec<_> = Role::ALL.iter().map(|r| r.word()).collect();
            format!("a role is one of {}", words.join(", "))
        })
    }
}

/// Who is asking: a user whose token was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Principal {
    /// The user.
    pub user: UserId,
    /// The user's tenant.
    pub tenant: TenantId,
    /// The user's role in the installation.
    pub role: Role,
}

impl Principal {
    /// Whether the user may act in rooms of `tenant` without being a member, as an audited moderator.
    #[must_use]
    pub fn moderates(&self, tenant: TenantId) -> bool {
        self.role == Role::SuperAdmin || (self.role == Role::TenantAdmin && self.tenant == tenant)
    }
}

/// What everybody in the same tenant may see of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserView {
    /// The user.
    pub id: UserId,
    /// The unique name.
    pub username: String,
    /// The name to show.
    pub full_name: String,
    /// False once the account was disabled.
    pub is_active: bool,
    /// When the account was made.
    pub created_at: Millis,
    /// When the user was last connected; absent for never.
    pub last_seen: Option<Millis>,
}

/// What a user sees of themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MeView {
    /// What others see too.
    #[serde(flatten)]
    pub user: UserView,
    /// The e-mail address; shown to nobody else.
    pub email: Option<String>,
    /// The role in the installation.
    pub role: Role,
    /// The tenant.
    pub tenant: TenantId,
}

/// Whether a user is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// No connection.
    #[default]
    Offline,
    /// Connected, but not at the keyboard.
    Away,
    /// Connected.
    Online,
    /// Connected, and wants no notifications.
    DoNotDisturb,
}
