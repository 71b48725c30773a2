//! `parlance user`: accounts, by whoever holds the machine.

use std::io::Write;
use std::sync::Arc;

use clap::{Args, Subcommand};
use futures_util::StreamExt;
use parlance_actors::ids::Ids;
use parlance_actors::ports::Bus;
use parlance_actors::ports::bus::{RoomEvent, Sink, Subscription};
use parlance_actors::ports::store::Account;
use parlance_schema::limits::PAGE_MAX;
use parlance_schema::notice::Notice;
use parlance_schema::user::Role;
use parlance_schema::{RoomId, TenantId, UserId};
use serde_json::json;

use super::input::Input;
use super::{Backend, Failure};
use crate::auth::{Accounts, By, KeyRing, Ports};
use crate::config::Config;

/// Accounts that are written at once when many are made.
const SEED_AT_ONCE: usize = 256;

/// Accounts that are made by one command: their ids are taken at once, and there is an end of ids.
const SEED_MAX: u64 = 1_000_000;

/// What can be done with accounts.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Makes an account and prints its id; asks for the password
    Add(Add),
    /// Gives an account another role: readonly, user, manager, tenant_admin or super_admin
    Role {
        #[command(flatten)]
        who: Who,
        /// The role
        role: Role,
    },
    /// Disables an account: its logins end, its tokens are void
    Disable(Who),
    /// Enables a disabled account
    Enable(Who),
    /// Gives an account a new password; its logins end
    Password {
        #[command(flatten)]
        who: Who,
        /// Reads the password from standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// Prints an access token
    Token {
        #[command(flatten)]
        who: Who,
        /// Hours that it is good for, up to 720
        #[arg(long, default_value_t = 12)]
        hours: u64,
    },
    /// Lists active accounts, one JSON object a line
    List {
        /// Only those whose username or full name has this in it
        #[arg(long, default_value = "")]
        search: String,
        /// At most so many
        #[arg(long, default_value_t = PAGE_MAX)]
        limit: usize,
        /// The tenant
        #[arg(long, default_value = "1")]
        tenant: TenantId,
    },
    /// Makes many accounts without a password, PREFIX1, PREFIX2…, and prints id, username and token of each as JSON lines;
    /// those that are there already only get a token
    Seed {
        /// How many, up to a million
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..=SEED_MAX))]
        count: u64,
        /// What their usernames begin with
        #[arg(long, default_value = "user")]
        prefix: String,
        /// The tenant
        #[arg(long, default_value = "1")]
        tenant: TenantId,
        /// Hours that the tokens are good for, up to 720
        #[arg(long, default_value_t = 12)]
        hours: u64,
    },
}

/// A new account.
#[derive(Debug, Args)]
pub(super) struct Add {
    /// The username
    username: String,
    /// The e-mail address
    #[arg(long)]
    email: Option<String>,
    /// The name to show; the username where it is absent
    #[arg(long)]
    full_name: Option<String>,
    /// The role
    #[arg(long, default_value = "user")]
    role: Role,
    /// The tenant
    #[arg(long, default_value = "1")]
    tenant: TenantId,
    /// Reads the password from standard input
    #[arg(long)]
    password_stdin: bool,
    /// Sets no password: then only `parlance user token` lets the account in
    #[arg(long, conflicts_with = "password_stdin")]
    no_password: bool,
}

/// An account that is there.
#[derive(Debug, Args)]
pub(super) struct Who {
    /// Its id, username or e-mail address
    user: String,
    /// Its tenant, where a name is given
    #[arg(long, default_value = "1")]
    tenant: TenantId,
}

pub(super) async fn execute(
    backend: &dyn Backend,
    config: &Config,
    command: Command,
    input: &mut Input,
    out: &mut (dyn Write + Send),
) -> Result<(), Failure> {
    let ids = if let Command::Seed { count, .. } = command { count } else { 1 };
    let accounts = open(backend, config, ids).await?;
    match command {
        Command::Add(add) => {
            let password = if add.no_password { None } else { Some(input.new_password(add.password_stdin)?) };
            let made = accounts.add(add.tenant, add.username, add.email, add.full_name, password, add.role).await?;
            writeln!(out, "{}", made.id)?;
        }
        Command::Role { who, role } => {
            let user = find(&accounts, &who).await?.id;
            accounts.set_role(By::Operator, user, role).await?;
        }
        Command::Disable(who) => {
            let user = find(&accounts, &who).await?.id;
            accounts.set_active(By::Operator, user, false).await?;
        }
        Command::Enable(who) => {
            let user = find(&accounts, &who).await?.id;
            accounts.set_active(By::Operator, user, true).await?;
        }
        Command::Password { who, password_stdin } => {
            let user = find(&accounts, &who).await?.id;
            accounts.reset_password(user, &input.new_password(password_stdin)?).await?;
        }
        Command::Token { who, hours } => {
            let account = find(&accounts, &who).await?;
            if !account.active {
                return Err(Failure::Other(format!("{} is disabled", account.username)));
            }
            let token = accounts.token_for(&account, hours.saturating_mul(3_600))?;
            writeln!(out, "{}", token.reveal())?;
        }
        Command::List { search, limit, tenant } => {
            for account in accounts.list(tenant, &search, limit).await? {
                let line = json!({"id": account.id, "username": account.username, "full_name": account.full_name,
                    "email": account.email, "role": account.role, "created_at": account.created_at,
                    "last_seen": account.last_seen});
                writeln!(out, "{line}")?;
            }
        }
        Command::Seed { count, prefix, tenant, hours } => {
            seed(&accounts, count, &prefix, tenant, hours.saturating_mul(3_600), out).await?;
        }
    }
    Ok(())
}

async fn find(accounts: &Accounts, who: &Who) -> Result<Account, Failure> {
    Ok(accounts.find(who.tenant, &who.user).await?)
}

async fn seed(
    accounts: &Accounts,
    count: u64,
    prefix: &str,
    tenant: TenantId,
    life_s: u64,
    out: &mut (dyn Write + Send),
) -> Result<(), Failure> {
    // Many at once, so that the store can commit them together; printed in order all the same.
    let made = futures_util::stream::iter(1..=count).map(|n| accounts.seed(tenant, format!("{prefix}{n}")));
    let mut made = std::pin::pin!(made.buffered(SEED_AT_ONCE));
    while let Some(account) = made.next().await {
        let account = account?;
        let token = accounts.token_for(&account, life_s)?;
        let line = json!({"id": account.id, "username": account.username, "token": token});
        writeln!(out, "{line}")?;
    }
    Ok(out.flush()?)
}

async fn open(backend: &dyn Backend, config: &Config, ids: u64) -> Result<Accounts, Failure> {
    let store = backend.open_store(config).await?;
    let (clock, random) = (backend.clock(), backend.random());
    let keys = KeyRing::configured(&config.auth, &config.data.dir, &*random, clock.now())?;
    let ids = Arc::new(Ids::with_block(store.clone(), ids));
    let ports = Ports { store, clock, random, bus: Arc::new(Nobody) };
    Accounts::new(ports, ids, keys, &config.auth).map_err(Failure::Other)
}

/// The bus of a process without sessions: nobody listens, and no server runs on the same folder.
struct Nobody;

impl Bus for Nobody {
    fn publish_room(&self, _: RoomId, _: RoomEvent) {}

    fn publish_user(&self, _: UserId, _: Notice) {}

    fn subscribe_room(&self, _: RoomId, _: Sink<RoomEvent>) -> Subscription {
        Box::new(())
    }

    fn subscribe_user(&self, _: UserId, _: Sink<Notice>) -> Subscription {
        Box::new(())
    }
}
