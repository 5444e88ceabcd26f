# Keeps one Redis or Valkey server for as long as standard input stays open.
# Whoever started it may be killed in any way: the pipe breaks, the server stops,
# and nothing is left of it.
#
# $1 is the server's program, $2 an empty folder of ours, $3 the port.

cd "$2" || exit 1
"$1" --bind 127.0.0.1 --port "$3" --dir "$2" --save '' --appendonly no --daemonize no >"$2/log" 2>&1 &
server=$!

finish() {
	kill -9 "$server" 2>/dev/null
	cd / && rm -rf "$2"
}
trap 'finish "$1" "$2"' EXIT
trap 'exit 1' HUP INT TERM

read -r _
exit 0
