#!/bin/sh
# Copies what cannot be made again, the database and the generated secrets, into a new folder, or puts it back.
#
#   ops/backup/backup.sh save    /backups        makes /backups/steward-<UTC time>/ and prints its name
#   ops/backup/backup.sh restore /backups/steward-20260113T100000Z
#
# DATABASE_URL and STEWARD_VAR_DIR mean what they mean to Steward. Saving needs no pause: both databases give a consistent
# copy while they are written to. Restoring wants Steward stopped, and refuses to write over a database that is there.
set -eu
umask 077

here=$(cd "$(dirname "$0")/../.." && pwd)
data=${STEWARD_VAR_DIR:-$here/var}
url=${DATABASE_URL:-sqlite:///$data/steward.sqlite3}
python=${PYTHON:-python3}

say() { echo "$*" >&2; }

if [ -n "${MONGODB_URL:-}" ]; then
    say "Events are in MongoDB here, which this script does not copy. Use mongodump beside pg_dump."
    exit 2
fi
case "$url" in
    sqlite:///*) kind=sqlite file=${url#sqlite:///} ;;
    postgres://* | postgresql://*) kind=postgres ;;
    *) say "This database is neither SQLite nor PostgreSQL: ${url%%:*}"; exit 2 ;;
esac

save() {
    target=$1/steward-$(date -u +%Y%m%dT%H%M%SZ)
    mkdir -p "$1"
    # Made under another name: a folder that is called a backup is a whole one.
    draft=$target.part
    mkdir "$draft"
    trap 'rm -rf "$draft"' EXIT
    if [ "$kind" = sqlite ]; then
        [ -f "$file" ] || { say "There is no database at $file."; exit 1; }
        "$python" - "$file" "$draft/steward.sqlite3" <<'PYTHON'
import sqlite3, sys
source, target = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True), sqlite3.connect(sys.argv[2])
source.backup(target)
(state,) = target.execute("PRAGMA integrity_check").fetchone()
target.close()
sys.exit(0 if state == "ok" else f"The copy is damaged: {state}")
PYTHON
    else
        pg_dump --format=custom --no-owner --file="$draft/steward.pgdump" --dbname="$url"
    fi
    [ ! -d "$data/secrets" ] || cp -R "$data/secrets" "$draft/secrets"
    (cd "$draft" && find . -type f ! -name SHA256SUMS -exec sha256sum {} + > SHA256SUMS)
    sync
    mv "$draft" "$target"
    trap - EXIT
    echo "$target"
}

restore() {
    (cd "$1" && sha256sum --quiet --check SHA256SUMS) || { say "The backup is damaged; nothing was changed."; exit 1; }
    if [ "$kind" = sqlite ]; then
        [ ! -e "$file" ] || { say "There is a database at $file. Move it away first."; exit 1; }
        mkdir -p "$(dirname "$file")"
        cp "$1/steward.sqlite3" "$file"
    else
        # Roles are the server's, not the database's: on a new server the one that the policies name is missing.
        psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --dbname="$url" --command="DO \$\$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'steward_tenant') THEN
                CREATE ROLE steward_tenant NOLOGIN NOSUPERUSER NOBYPASSRLS;
            END IF;
        END \$\$"
        pg_restore --exit-on-error --single-transaction --no-owner --dbname="$url" "$1/steward.pgdump"
    fi
    if [ -d "$1/secrets" ]; then
        # The keys that the rows were encrypted with come back with the rows.
        mkdir -p "$data/secrets"
        cp -R "$1/secrets/." "$data/secrets/"
    fi
    say "Restored. Start Steward; it brings the tables up to date."
}

case "${1:-}:${2:-}" in
    save:?*) save "$2" ;;
    restore:?*) restore "${2%/}" ;;
    *) say "usage: $0 save FOLDER | restore BACKUP"; exit 2 ;;
esac
