# Keeps one PostgreSQL server for as long as standard input stays open. Whoever
# started it may be killed in any way: the pipe breaks, the server stops, and
# nothing is left of it.
#
# $1 is the folder of PostgreSQL's programs. $2 is an empty folder of ours that
# holds extra.conf.

bin=$1
dir=$2
cd "$dir" || exit 1

finish() {
	"$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null 2>&1
	cd / && rm -rf "$dir"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

init() {
	"$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --no-sync "$@" >"$dir/init.log" 2>&1
}

# A collation that sorts like people do comes first, so that a statement which
# relies on the order of bytes fails in tests and not at an operator's.
init --locale=C.UTF-8 --locale-provider=icu --icu-locale=en-US ||
	init --locale=en_US.UTF-8 ||
	init --locale=C.UTF-8 ||
	init --locale=C ||
	{ cat "$dir/init.log" >&2; exit 1; }

cat "$dir/extra.conf" >>"$dir/data/postgresql.conf"
"$bin/pg_ctl" -D "$dir/data" -l "$dir/server.log" -w -t 60 start >/dev/null 2>&1 ||
	{ cat "$dir/server.log" >&2; exit 1; }

echo ready
read -r _
exit 0
