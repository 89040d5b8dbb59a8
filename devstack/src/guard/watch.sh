# Runs a program and stops it when the launcher lets go of this shell's standard input or is gone, however it went.
#
#   sh -c "$(cat watch.sh)" watch SIGNAL SECONDS SCRAP PROGRAM [ARGUMENT...]
#
# SIGNAL stops the program; after SECONDS it is killed. SCRAP is a directory to remove then, or empty. The program's
# process id goes to standard output, its own output to standard error. This shell ends when the program does.
exec 3<&0 </dev/null
signal=$1 tenths=$(($2 * 10)) scrap=$3
shift 3
"$@" 3<&- >&2 &
program=$!
echo "$program"
exec >&2
(
    read -r _ <&3
    trap '' TERM
    kill -s "$signal" "$program" 2>/dev/null
    while kill -0 "$program" 2>/dev/null; do
        [ "$tenths" -gt 0 ] || kill -s KILL "$program" 2>/dev/null
        tenths=$((tenths - 1))
        sleep 0.1
    done
    [ -z "$scrap" ] || { cd / && rm -rf -- "$scrap"; }
) &
watcher=$!
wait "$program"
code=$?
kill "$watcher" 2>/dev/null
wait "$watcher" 2>/dev/null
exit "$code"
