//! What handlers say to the accounts: registering, logging in, changing oneself, and other services' tokens.

pub use crate::auth::{
    Algorithm, Authenticated, ChangePassword, Grant, Issuer, Login, Refresh, Register, UpdateProfile,
};
pub use crate::secret::{Secret, masked};
