# What actions/checkout does with Git: a branch becomes a local branch, everything else a detached HEAD; nothing but the ref is fetched unless
# fetch-depth is 0; what failed stays behind as an empty repository.
set -euo pipefail

header="http.$GITHUB_SERVER_URL/.extraheader"
basic="AUTHORIZATION: basic $(printf 'x-access-token:%s' "$TOKEN" | base64 -w0)"
as_bot() { GIT_TERMINAL_PROMPT=0 git -c "$header=$basic" "$@"; }
has() { as_bot ls-remote --exit-code origin "$1" >/dev/null; }

mkdir -p "$GITHUB_WORKSPACE/$DEST"
cd "$GITHUB_WORKSPACE/$DEST"
git init --quiet .
git remote add origin "$GITHUB_SERVER_URL/$REPOSITORY"

sha=""
if [ -z "$REF" ]; then
  REF=$EVENT_REF sha=$EVENT_SHA
elif [[ $REF =~ ^[0-9a-f]{40}$ ]]; then
  sha=$REF
elif [[ $REF != refs/* ]] && has "refs/heads/$REF"; then
  REF=refs/heads/$REF
elif [[ $REF != refs/* ]] && has "refs/tags/$REF"; then
  REF=refs/tags/$REF
fi

case $REF in
  refs/heads/*) target=refs/remotes/origin/${REF#refs/heads/} ;;
  refs/pull/*) target=refs/remotes/pull/${REF#refs/pull/} ;;
  refs/tags/*) target=$REF ;;
  *) target="" ;;
esac
depth=(--no-tags "--depth=$DEPTH")
if [ "$DEPTH" = 0 ]; then
  depth=()
  as_bot fetch --quiet --tags origin '+refs/heads/*:refs/remotes/origin/*'
fi
as_bot fetch --quiet "${depth[@]}" origin "+${sha:-$REF}${target:+:$target}" ||
  { echo "::error::A branch or tag with the name '$REF' could not be found"; exit 1; }
case $target in
  refs/remotes/origin/*) git checkout --quiet --force -B "${REF#refs/heads/}" "$target" ;;
  "") git checkout --quiet --force --detach FETCH_HEAD ;;
  *) git checkout --quiet --force --detach "$target" ;;
esac
if [ "$PERSIST" = true ]; then git config "$header" "$basic"; fi
