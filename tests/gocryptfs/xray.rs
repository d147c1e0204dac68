//! `gocryptfs-xray`, byte for byte beside the real one.

use crate::same;

same! {
    words: "
        for a in '' -h -help --help -nosuchflag '-dumpmasterkey -encrypt-paths x' 'a b' -aessiv=7 -fido2 '-- a b' 'nowhere' . '-aessiv=true nowhere' '-0'; do t gocryptfs-xray $a; done
        t gocryptfs-xray -version; t gocryptfs-xray --version x y",
    files_of_every_kind: "
        for a in '' -aessiv -xchacha; do
            rm -rf c; volume -plaintextnames $a; \"$REAL\" -q -passfile pw c m; for n in 0 1 4096 4097 100000; do head -c $n /dev/zero >m/$n; done; end
            for f in c/0 c/1 c/4096 c/4097 c/100000; do
                t gocryptfs-xray $a $f; gocryptfs-xray $a $f >ours 2>&1; \"$REAL_XRAY\" $a $f >theirs 2>&1; cmp ours theirs && echo the same
            done
            gocryptfs-xray c/100000 >ours 2>&1; \"$REAL_XRAY\" c/100000 >theirs 2>&1; cmp ours theirs && echo the same
        done",
    files_that_are_damaged: "
        volume -plaintextnames; \"$REAL\" -q -passfile pw c m; head -c 5000 /dev/zero >m/f; end; cp c/f f
        for n in 0 1 17 18 19 30 50 51 4146 4147 4178 4179; do head -c $n f >cut; t gocryptfs-xray cut; done
        head -c 5000 /dev/zero >zeros; t gocryptfs-xray zeros; { printf '\\001'; cat f; } >shifted; code gocryptfs-xray shifted
        head -c 2 f >noid; head -c 100 /dev/zero >>noid; t gocryptfs-xray noid",
    the_master_key: "
        volume; echo test | t gocryptfs-xray -dumpmasterkey c/gocryptfs.conf
        [ $(echo test | gocryptfs-xray -dumpmasterkey c/gocryptfs.conf) = $(echo test | \"$REAL_XRAY\" -dumpmasterkey c/gocryptfs.conf) ] && echo the same
        echo wrong | t gocryptfs-xray -dumpmasterkey c/gocryptfs.conf; echo | t gocryptfs-xray -dumpmasterkey c/gocryptfs.conf; t gocryptfs-xray -dumpmasterkey c/gocryptfs.conf
        t gocryptfs-xray -dumpmasterkey nowhere; code gocryptfs-xray -dumpmasterkey pw; code gocryptfs-xray -dumpmasterkey c
        sed -i 's/\"Version\": 2/\"Version\": 3/' c/gocryptfs.conf; code gocryptfs-xray -dumpmasterkey c/gocryptfs.conf",
    paths_by_the_socket: "
        volume; \"$REAL\" -q -passfile pw -ctlsock sock c m; mkdir m/d; touch m/d/f
        for a in -encrypt-paths -decrypt-paths; do
            printf 'd\nd/f\nnone/x\n/d/\n\n.' >in; t gocryptfs-xray $a sock <in; gocryptfs-xray $a sock <in >ours 2>&1; \"$REAL_XRAY\" $a sock <in >theirs 2>&1; cmp ours theirs && echo the same
            printf 'd\\0d/f\\0none/x\\0/d/\\0\\0a\nb' >in; gocryptfs-xray $a -0 sock <in >ours 2>&1; \"$REAL_XRAY\" $a -0 sock <in >theirs 2>&1; cmp ours theirs && echo the same
            t gocryptfs-xray $a sock
        done; end; await '! [ -e sock ]'; t gocryptfs-xray -encrypt-paths sock; t gocryptfs-xray -decrypt-paths pw",
}
