# What ./run and ./test have in common: finding or getting the tools that they need.
# shellcheck shell=bash

cache="${PARLANCE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/parlance}"

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Installs Debian packages where that is possible without asking; says the command where it is not.
apt_install() {
  if have apt-get && [ "$(id -u)" = 0 ]; then
    say "installing $*"
    DEBIAN_FRONTEND=noninteractive apt-get update -qq >/dev/null 2>&1 || true
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
  else
    return 1
  fi
}

# A C compiler builds the embedded SQLite and the TLS library; cargo builds the rest.
need_rust() {
  [ -d "$HOME/.cargo/bin" ] && PATH="$HOME/.cargo/bin:$PATH"
  if ! have cargo; then
    have curl || apt_install curl ca-certificates || die "Rust is missing, and curl to get it: install rustup (https://rustup.rs), then run this again"
    say "Rust is missing: installing it with rustup into $HOME/.cargo"
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --default-toolchain none --no-modify-path >/dev/null \
      || die "rustup could not be fetched: install Rust $(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml) (https://rustup.rs), then run this again"
    PATH="$HOME/.cargo/bin:$PATH"
  fi
  if ! have cc && ! apt_install gcc libc6-dev; then
    die "a C compiler is missing: 'apt-get install gcc libc6-dev' (or your system's like) as root, then run this again"
  fi
  if ! have cmake && ! apt_install cmake make; then
    die "cmake is missing: 'apt-get install cmake make' as root, then run this again"
  fi
  cargo --version >/dev/null 2>&1 || rustup toolchain install >/dev/null || die "the toolchain of rust-toolchain.toml can't be installed"
}
