# What ./run and ./test have in common: finding or getting the tools that they need.
# shellcheck shell=bash

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Installs Debian packages where that is possible without asking.
apt_install() {
  have apt-get && [ "$(id -u)" = 0 ] || return 1
  say "installing $*"
  DEBIAN_FRONTEND=noninteractive apt-get update -qq >/dev/null 2>&1 || true
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1
}

# The version that rust-toolchain.toml names.
toolchain() { sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml; }

# Whether the cargo that is there can build this: rustup fetches the right one, others must be new enough.
cargo_fits() {
  have cargo || return 1
  have rustup && return 0
  local found wanted
  found="$(cargo --version 2>/dev/null | cut -d ' ' -f 2)"
  wanted="$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)"
  [ -n "$found" ] && [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ]
}

# What cargo's progress bar showed last, such as "214 of 391 done; now tokio, aws-lc-sys(build)"; where there is no bar yet, the
# last that cargo said, such as that it waits for another build or downloads crates.
build_progress() {
  local bar='^ *Building \[[=> ]*\] \([0-9]*\)\/\([0-9]*\)'
  tr '\r' '\n' <"$1" \
    | sed -n -e 's/ *$//' -e "s/$bar: \(.*\)/\1 of \2 done; now \3/p" -e "s/$bar\$/\1 of \2 done/p" -e '/Building/!s/^ *\([A-Z][a-z]*ing .*\)/\1/p' \
    | tail -n 1
}

# Runs `cargo build` with what it is given. On a terminal cargo shows how far it is; elsewhere a line every 15 s says so, and
# what cargo had to say is shown where it fails.
build_with_progress() {
  if [ -t 2 ]; then cargo build "$@"; return; fi
  local log builder next status=0
  log="$(mktemp)"
  CARGO_TERM_PROGRESS_WHEN=always CARGO_TERM_PROGRESS_WIDTH=120 CARGO_TERM_COLOR=never cargo build "$@" 2>"$log" &
  builder=$!
  # What runs in the background of a script gets no interrupt from the keyboard.
  trap 'kill "$builder" 2>/dev/null' EXIT
  next=$((SECONDS + 2))
  while kill -0 "$builder" 2>/dev/null; do
    sleep 0.2
    if [ "$SECONDS" -ge "$next" ]; then
      say "building: $(build_progress "$log")"
      next=$((SECONDS + 15))
    fi
  done
  wait "$builder" || status=$?
  trap - EXIT
  [ "$status" = 0 ] || tr '\r' '\n' <"$log" | grep -v -e '^ *Building \[' -e '^ *Compiling ' >&2 || true
  rm -f "$log"
  return "$status"
}

# A C compiler builds the embedded SQLite and the cryptography; cargo builds the rest.
need_rust() {
  [ -d "$HOME/.cargo/bin" ] && PATH="$HOME/.cargo/bin:$PATH"
  if ! have cc && ! apt_install gcc libc6-dev; then
    die "a C compiler is missing: run 'apt-get install gcc libc6-dev' (or your system's equivalent) as root, then this again"
  fi
  if ! cargo_fits; then
    local by_hand
    by_hand="install Rust $(toolchain) from https://rustup.rs, then run this again"
    have curl || apt_install curl ca-certificates || die "Rust is missing or too old, and curl, which would fetch it, is missing too: $by_hand"
    say "Rust is missing or too old: getting rustup into $HOME/.cargo"
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs \
      | sh -s -- -y --quiet --profile minimal --default-toolchain none --no-modify-path >/dev/null 2>&1 \
      || die "rustup could not be fetched: $by_hand"
    PATH="$HOME/.cargo/bin:$PATH"
  fi
  if ! cargo --version >/dev/null 2>&1; then
    say "getting Rust $(toolchain)"
    rustup toolchain install "$(toolchain)" --profile minimal --component rustfmt --component clippy >/dev/null 2>&1 \
      || die "Rust $(toolchain) could not be fetched: is the network there? 'rustup toolchain install $(toolchain)' says more"
  fi
}
