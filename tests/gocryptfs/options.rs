//! How the program speaks: quietly, with warnings that are fatal, in colours.

use crate::same;

same! {
    a_quiet_mount_says_nothing: "volume; t gocryptfs -q -passfile pw c m; end; t gocryptfs -quiet -passfile pw c m; end",
    a_warning_may_be_fatal: "volume; t gocryptfs -q -nosyslog -wpanic -passfile pw c m; end; printf 'test\nmore\n' >two; code gocryptfs -q -wpanic -passfile two c m; end; code gocryptfs -nosyslog -wpanic -allow_other -passfile pw c m; end",
    a_wrong_password_may_be_fatal: "volume; echo wrong >pw; code gocryptfs -q -wpanic -passfile pw c m; code gocryptfs -q -wpanic -fg -passfile pw c m; code gocryptfs -wpanic -fsck -passfile pw c",
    debug_words_do_no_harm: "volume; code gocryptfs -d -passfile pw c m; end; code gocryptfs -debug -fusedebug -passfile pw c m; end",
    no_colours_without_a_terminal: "volume; t gocryptfs -passfile pw c m; end; echo wrong >pw; t gocryptfs -passfile pw c m",
    colours_at_a_terminal: "
        volume; t python3 -c 'import pty,sys; sys.exit(pty.spawn([\"gocryptfs\",\"-passfile\",\"pw\",\"c\",\"m\"])>>8)'; end
        NO_COLOR=1 t python3 -c 'import pty,sys; sys.exit(pty.spawn([\"gocryptfs\",\"-passfile\",\"pw\",\"c\",\"m\"])>>8)'; end
        echo wrong >pw; t python3 -c 'import pty,sys; sys.exit(pty.spawn([\"gocryptfs\",\"-passfile\",\"pw\",\"c\",\"m\"])>>8)'
        mkdir d; t python3 -c 'import pty,sys; sys.exit(pty.spawn([\"gocryptfs\",\"-init\",\"-scryptn\",\"10\",\"-passfile\",\"pw\",\"d\"])>>8)'",
}
