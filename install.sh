#!/bin/sh
# Installs querycop: downloads the right file of a release, checks it, tries it, and moves it into place.
#
#   QUERYCOP_BASE_URL     where releases are: SHA256SUMS and files of the latest one there, others below v<version>/
#   QUERYCOP_VERSION      the version to install (default: the latest)
#   QUERYCOP_INSTALL_DIR  where to (default: ~/.local/bin)
#   QUERYCOP_PUBLIC_KEY   the minisign key that must have signed SHA256SUMS (default: the one this script was released
#                         with); set to nothing, the signature is not checked
#
# It never asks for root, never edits a shell profile and never installs a file whose SHA-256 it could not check.
# Everything is inside of functions and the call is at the very end: a script cut short in transit does nothing.

set -eu

say() {
  printf 'install.sh: %s\n' "$*" >&2
}

fail() {
  say "$*"
  exit 1
}

has() {
  command -v "$1" >/dev/null 2>&1
}

# Prints the target's name as in the file names of a release, e.g. linux-arm64-musl.
detect_target() {
  system=$(uname -s)
  machine=$(uname -m)
  case $system in
    Linux) ;;
    Darwin)
      darwin_target "$machine"
      return
      ;;
    MINGW* | MSYS* | CYGWIN*) fail "Cannot install on Windows: download querycop-windows-x64.exe, see docs/deployment.md" ;;
    *) fail "Cannot install on $system: releases exist for Linux, macOS and Windows" ;;
  esac
  case $machine in
    x86_64 | amd64) target=linux-x64 ;;
    aarch64 | arm64) target=linux-arm64 ;;
    *) fail "Cannot install on a $machine processor: releases exist for x86_64 and aarch64" ;;
  esac
  # A 32-bit userland on a 64-bit kernel has a shell of ELF class 1 (fifth byte of the file).
  if has od && [ "$(od -An -N5 -tu1 /proc/self/exe 2>/dev/null | tr -d ' \n')" = 1276976701 ]; then
    fail "Cannot install on a 32-bit system with a $machine kernel: releases are 64-bit"
  fi
  if uses_musl; then
    target=$target-musl
  fi
  printf '%s\n' "$target"
}

darwin_target() {
  case $1 in
    arm64) printf 'darwin-arm64\n' ;;
    x86_64)
      # A shell that Rosetta translates believes in the wrong processor.
      if [ "$(sysctl -n sysctl.proc_translated 2>/dev/null || true)" = 1 ]; then
        printf 'darwin-arm64\n'
      else
        printf 'darwin-x64\n'
      fi
      ;;
    *) fail "Cannot install on a $1 processor: releases exist for x86_64 and arm64" ;;
  esac
}

uses_musl() {
  if has ldd; then
    # musl's ldd knows no --version: it prints its name and fails.
    case $(ldd --version 2>&1 || true) in
      *musl*) return 0 ;;
      *GLIBC* | *GNU* | *glibc*) return 1 ;;
    esac
  fi
  for loader in /lib/ld-musl-*.so.1; do
    [ -e "$loader" ] && ! [ -e /lib64/ld-linux-x86-64.so.2 ] && ! [ -e /lib/ld-linux-aarch64.so.1 ] && return 0
  done
  return 1
}

# SAFETY: only addresses that nobody on the way can answer for. The checksums come from the same place as the file, so
# without a signature they protect against damage and mix-ups, not against whoever can answer in the server's name.
check_base_url() {
  case $1 in
    https://?* | file:///*) return ;;
    http://*)
      authority=${1#http://}
      authority=${authority%%/*}
      case $authority in
        *@*) ;;
        127.0.0.1 | localhost | '[::1]') return ;;
        127.0.0.1:* | localhost:* | '[::1]:'*)
          case ${authority##*:} in
            '' | *[!0-9]*) ;;
            *) return ;;
          esac
          ;;
      esac
      ;;
  esac
  fail "Cannot download from \"$1\": QUERYCOP_BASE_URL must begin with https:// or file:///, or be http:// on this machine"
}

download() {
  url=$1
  file=$2
  case $url in
    file://*)
      cp "${url#file://}" "$file" || fail "Cannot read ${url#file://}"
      return
      ;;
    https://*) scheme=https ;;
    *) scheme=http ;;
  esac
  if has curl; then
    curl --proto "=$scheme" --tlsv1.2 --fail --silent --show-error --location --retry 3 --output "$file" "$url" ||
      fail "Cannot download $url"
  elif ! has wget; then
    fail "Cannot download $url: neither curl nor wget is installed"
  elif [ "$scheme" = http ]; then
    wget -q -O "$file" "$url" || fail "Cannot download $url"
  elif wget --version 2>/dev/null | grep -q 'GNU Wget'; then
    wget --https-only --secure-protocol=TLSv1_2 -q -O "$file" "$url" || fail "Cannot download $url"
  else
    # SAFETY: the wget of busybox does not check certificates.
    fail "Cannot download $url safely: this wget does not check certificates, install curl"
  fi
}

sha256() {
  if has sha256sum; then
    sha256sum <"$1" | cut -d ' ' -f 1
  elif has shasum; then
    shasum -a 256 <"$1" | cut -d ' ' -f 1
  elif has openssl; then
    openssl dgst -sha256 -r <"$1" | cut -d ' ' -f 1
  else
    fail "Cannot check the download: none of sha256sum, shasum and openssl is installed"
  fi
}

# SAFETY: with a key known nothing is installed that it did not sign. $1 the list, $2 its signature, $3 the key.
check_signature() {
  if has minisign; then
    minisign -V -q -m "$1" -x "$2" -P "$3" >&2 || fail "$not_signed"
  elif has openssl && openssl pkeyutl -help 2>&1 | grep -q -e -rawin; then
    # minisign's files: two bytes of kind and eight of number stand in front of key and signature.
    {
      printf '\060\052\060\005\006\003\053\145\160\003\041\000'
      printf '%s\n' "$3" | openssl base64 -d -A | tail -c 32
    } >"$scratch/key.der"
    sed -n 2p "$2" | openssl base64 -d -A | tail -c 64 >"$scratch/signature"
    openssl pkeyutl -verify -pubin -keyform DER -inkey "$scratch/key.der" -rawin -in "$1" \
      -sigfile "$scratch/signature" >/dev/null 2>&1 || fail "$not_signed"
  else
    fail "Cannot check the signature of SHA256SUMS: install minisign or OpenSSL 3, or set QUERYCOP_PUBLIC_KEY= to do without"
  fi
  say "SHA256SUMS is signed by $3"
}

# Prints the SHA-256 that the list holds for a file; fails unless there is exactly one well-formed line for it.
expected_sha256() {
  awk -v name="$2" '
    $2 == name || $2 == "*" name { found++; sum = $1 }
    END {
      if (found != 1 || length(sum) != 64 || sum !~ /^[0-9a-f]+$/) exit 1
      print sum
    }' "$1"
}

# Runs the file before it is installed: finds the wrong processor, a missing library, a download that is no program.
check_starts() {
  if ! output=$("$1" --version 2>&1); then
    say "The downloaded $2 does not start on this machine: $output"
    case $2 in
      *-musl) say "On Alpine it needs: apk add libstdc++" ;;
    esac
    fail "Nothing was installed"
  fi
  # Where no version was asked for any will do, but the file must say that it is querycop.
  wanted=${version:-${output#querycop }}
  wanted=${wanted%% *}
  case $output in
    "querycop $wanted" | "querycop $wanted "*) say "downloaded $output" ;;
    *) fail "Cannot install $2: asked for querycop ${version:-(any version)}, the file says \"$output\"; nothing was installed" ;;
  esac
}

main() {
  [ $# -eq 0 ] || fail "Unknown argument \"$1\": settings are environment variables, see the top of this script"
  version=${QUERYCOP_VERSION:-}
  version=${version#v}
  case $version in
    *[!0-9A-Za-z.+-]*) fail "QUERYCOP_VERSION is \"$version\": expected a version such as 0.1.0" ;;
  esac
  [ -n "${QUERYCOP_BASE_URL:-}" ] || fail "QUERYCOP_BASE_URL is not set: it names the folder that holds SHA256SUMS, for example file://\$PWD/dist after npm run build -- --release"
  base_url=${QUERYCOP_BASE_URL%/}
  check_base_url "$base_url"
  [ -z "$version" ] || base_url=$base_url/v$version
  # The build of a release writes its key here.
  release_key=''
  public_key=${QUERYCOP_PUBLIC_KEY-$release_key}
  not_signed="Cannot install: SHA256SUMS is not signed by $public_key; nothing was installed"
  [ -n "${QUERYCOP_INSTALL_DIR:-}${HOME:-}" ] || fail "HOME is not set: set QUERYCOP_INSTALL_DIR"
  install_dir=${QUERYCOP_INSTALL_DIR:-$HOME/.local/bin}

  target=$(detect_target)
  name=querycop-$target
  umask 022
  mkdir -p "$install_dir" || fail "Cannot create $install_dir: set QUERYCOP_INSTALL_DIR to a folder you may write to"
  install_dir=$(cd "$install_dir" && pwd)
  # Beside the final place: moving within one file system is atomic, and a running querycop keeps the file it has.
  scratch=$(mktemp -d "$install_dir/.querycop-install.XXXXXX") || fail "Cannot write to $install_dir"
  trap 'rm -rf "$scratch"' EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM

  download "$base_url/SHA256SUMS" "$scratch/SHA256SUMS"
  if [ -n "$public_key" ]; then
    download "$base_url/SHA256SUMS.minisig" "$scratch/SHA256SUMS.minisig"
    check_signature "$scratch/SHA256SUMS" "$scratch/SHA256SUMS.minisig" "$public_key"
  fi
  expected=$(expected_sha256 "$scratch/SHA256SUMS" "$name") ||
    fail "Cannot install $name: SHA256SUMS has no valid line for it; nothing was installed"
  if [ -f "$install_dir/querycop" ] && [ "$(sha256 "$install_dir/querycop")" = "$expected" ]; then
    say "$install_dir/querycop is already this version"
  else
    say "downloading $base_url/$name"
    download "$base_url/$name" "$scratch/querycop"
    actual=$(sha256 "$scratch/querycop")
    [ "$actual" = "$expected" ] ||
      fail "Cannot install $name: its SHA-256 is $actual, SHA256SUMS says $expected; nothing was installed"
    chmod 755 "$scratch/querycop"
    check_starts "$scratch/querycop" "$name"
    mv -f "$scratch/querycop" "$install_dir/querycop"
    say "installed $install_dir/querycop"
  fi

  case :${PATH:-}: in
    *:"$install_dir":*) say "next: querycop doctor" ;;
    *) say "next: $install_dir/querycop doctor  ($install_dir is not on your PATH)" ;;
  esac
}

{
  main "$@"
}
