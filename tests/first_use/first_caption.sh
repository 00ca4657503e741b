#!/bin/sh
# A first caption in a bare Debian: installs the packages that the README names, clones this
# checkout, runs `make up`, and runs the command that it prints. Prints how long each step took.
#
#   first_caption.sh FOLDER
#
# Needs root and debootstrap, some 10 GB in FOLDER, and 5 to 15 minutes. The container sees the paths
# in BIND, separated by blanks, and has the variables whose names begin with PIP_.
set -eu

folder=$(realpath -m "${1:?usage: first_caption.sh FOLDER}")
checkout=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
root=$folder/debian
began=$(date +%s)

step() {
    now=$(date +%s)
    echo "$((now - began)) s: $*"
    began=$now
}

mkdir -p "$folder"
if [ ! -e "$root/usr/bin/make" ]; then
    debootstrap --variant=minbase --include=ca-certificates,curl,git,make,python3,python3-venv \
        bookworm "$root" >"$folder/debootstrap.log"
fi
step "Debian with curl, git, make, python3 and python3-venv: $(du -sh "$root" | cut -f1)"

rm -rf "$root/srv/flamingo-fleet"
git clone --quiet "$checkout" "$root/srv/flamingo-fleet"
step "git clone: $(git -C "$root/srv/flamingo-fleet" ls-files | wc -l) files"

# What is run inside, in namespaces of its own: its mounts and processes end with it.
cat >"$root/srv/inside.sh" <<'INSIDE'
set -eu
mount -t proc proc /proc
mount -t tmpfs tmpfs /dev/shm
cd /srv/flamingo-fleet
make up ARGS="--port 0" >/srv/up.out 2>/srv/up.err &
while ! grep -q "ctrl-C" /srv/up.out; do
    kill -0 $! || { tail -n 40 /srv/up.err >&2; exit 1; }
    sleep 1
done
began=$(date +%s)
sed -n 's/^  caption  *//p' /srv/up.out >/srv/caption.sh
sh /srv/caption.sh >/srv/caption.json
echo "$(($(date +%s) - began)) s: the printed command"
INSIDE
mkdir -p "$root/dev/shm"
set -- env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/srv LANG=C.UTF-8
for name in $(env | sed -n 's/^\(PIP_[A-Z_]*\)=.*/\1/p'); do
    eval "set -- \"\$@\" \"$name=\$$name\""
done
cp /etc/resolv.conf /etc/hosts "$root/etc/"
export root BIND="${BIND:-}"
# shellcheck disable=SC2016 # the inner shell expands it
unshare --mount --pid --fork --kill-child sh -c '
    for path in $BIND; do
        if [ -d "$path" ]; then mkdir -p "$root$path"; else mkdir -p "$(dirname "$root$path")"; : >"$root$path"; fi
        mount --bind "$path" "$root$path"
    done
    mount --rbind /dev "$root/dev"
    exec chroot "$root" "$@"' sh "$@" sh /srv/inside.sh
step "make up and a caption; the checkout has $(du -sh "$root/srv/flamingo-fleet" | cut -f1)"
cat "$root/srv/up.out" "$root/srv/up.err"
cat "$root/srv/caption.json"
