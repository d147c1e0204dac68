//! How a mount begins and ends: readiness, the background, signals, idleness.

use crate::same;

/// Mounts in the foreground, does something once that is ready, and tells how the program ended.
fn served(flags: &str, then: &str) -> String {
    format!(
        "volume; trap 'ready=yes' USR1
         gocryptfs -fg -nosyslog -notifypid=$$ -passfile pw {flags} c m >said 2>complained & pid=$!
         await '[ \"$ready\" ]'; await \"obeys $pid\"; {then}
         wait $pid; ended=$?; cat said complained; mounted && echo still there"
    )
}

/// The same, ended by a signal: gocryptfs then ends with 15, or with 0 if it notices first that it was unmounted.
fn ended_by(flags: &str, then: &str) -> String {
    format!("{}\ncase $ended in 0|15) ;; *) echo \"= $ended\" ;; esac", served(flags, then))
}

/// The same, where how it ends is known.
fn ended(flags: &str, then: &str) -> String {
    format!("{}\necho \"= $ended\"", served(flags, then))
}

same! {
    unmounted_from_outside: ended("", "end"),
    ended_by_sigterm: ended_by("", "kill -TERM $pid"),
    ended_by_sigint: ended_by("", "kill -INT $pid"),
    ended_by_sigterm_while_in_use: ended_by("-q", "exec 7>m/file; kill -TERM $pid; await '! mounted' && echo unmounted; exec 7>&-; rm complained"),
    ended_by_idleness: ended("-idle 200ms", ":"),
    not_ended_by_idleness_while_in_use: ended("-idle 200ms", "exec 7>m/file; sleep 1; mounted && echo mounted; exec 7>&-"),
    ready_when_told: "
        volume; trap 'told=yes' USR1
        gocryptfs -q -fg -notifypid=$$ -passfile pw c m & pid=$!
        await '[ -n \"$told\" ]'; mounted && echo mounted; end; wait $pid; echo $?",
    told_nobody: "volume; gocryptfs -q -fg -notifypid=0 -passfile pw c m & pid=$!; await mounted; end; wait $pid; echo $?",
    told_somebody_who_is_not_there: "volume; gocryptfs -q -fg -notifypid=4194304 -passfile pw c m >said 2>&1 & pid=$!; await mounted; end; wait $pid; echo $?; cat said",
    the_background_lets_go_of_pipes: "
        volume; gocryptfs -passfile pw c m | cat; mounted && echo mounted; end
        said=$(gocryptfs -passfile pw c m 2>&1); echo \"$said\"; end
        { gocryptfs -q -passfile pw c m; } 2>&1 | { cat; echo over; }; end",
    the_background_is_nowhere: "
        volume; gocryptfs -q -passfile pw -ctlsock \"$PWD/s\" c m
        for p in $(grep -las \"$PWD/s\" /proc/[0-9]*/cmdline | xargs -n1 dirname); do
            if tr '\\0' ' ' 2>/dev/null <$p/cmdline | grep -q \"fg.*$PWD/s\"; then
                readlink $p/cwd; [ $(cut -d' ' -f6 $p/stat) = ${p#/proc/} ] && echo 'a session of its own'; readlink $p/fd/0
                grep 'open files' $p/limits >/dev/null && grep Umask $p/status
            fi
        done; end",
    the_parent_tells_how_the_child_failed: "volume; echo wrong >pw; t gocryptfs -passfile pw c m; t gocryptfs -passfile nowhere c m; t gocryptfs -q -passfile pw c nowhere",
    a_mount_outlives_its_session: "volume; t setsid sh -c 'gocryptfs -q -passfile pw c m'; echo hello >m/file; cat m/file; end",
    a_lazy_unmount: "volume; t gocryptfs -q -passfile pw c m; echo hello >m/file; exec 7<m/file; fusermount3 -uz m; mounted || echo gone; cat <&7; exec 7<&-",
    what_was_written_is_there_after_sigterm: ended_by("-q", "echo hello >m/file; kill -TERM $pid; await '! mounted'; \"$REAL\" -q -passfile pw c m; cat m/file; end"),
    a_second_signal_is_no_harm: ended_by("-q", "kill -TERM $pid; kill -INT $pid 2>/dev/null"),
    it_may_be_mounted_again_at_once: "volume; for i in 1 2 3; do t gocryptfs -q -passfile pw c m; end; done",
}

#[test]
fn a_signal_is_always_told_by_the_exit_code() {
    for signal in ["TERM", "INT"] {
        let script = ended("-q", &format!("kill -{signal} $pid"));
        let Some(transcript) = crate::stage::ours(&script) else { return };
        assert!(transcript.contains("= 15\n"), "{transcript}");
    }
}
