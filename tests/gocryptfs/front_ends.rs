//! The command lines of programs that people use in front of gocryptfs, as those programs make them, and what they look for
//! in the answers.

use crate::same;

same! {
    // KDE's Plasma Vault: plasma-vault, kded/engine/backends/gocryptfs/gocryptfsbackend.cpp. The password is written twice
    // to -init, and what is not read of it is lost; options of the user's stand behind the directories.
    plasma_vault: r#"
        mkdir c m
        gocryptfs --version >said; head -c 9 said; echo
        grep -oE '[0-9]+[.][0-9]+' said | head -1 | awk -F. '{ print ($1 > 1 || $1 == 1 && $2 >= 8) ? "new enough" : "too old" }'
        printf 'secret\nsecret\n' | t gocryptfs -init c -scryptn 10
        [ -e c/gocryptfs.conf ] && echo initialized
        printf 'secret\n' | t gocryptfs c m; shown; echo hello >m/file; end
        printf 'wrong\n' | t gocryptfs c m
        printf 'secret\n' | t gocryptfs c m -allow_other -o noatime
        printf 'secret\n' | t gocryptfs c m -noprealloc; cat m/file; end
        printf '\n\n' | t gocryptfs -init m; touch m/x; printf 'secret\nsecret\n' | t gocryptfs -init m; printf 'secret\n' | t gocryptfs c m"#,

    // SiriKali: src/engines/gocryptfs.cpp. Options are joined by blanks, FUSE options come last.
    sirikali: r#"
        mkdir c m
        code gocryptfs --version
        printf 'secret' | t gocryptfs -q --init -scryptn 10 c
        printf 'secret' | t gocryptfs -q -idle 10m c m -o fsname=gocryptfs@/c; shown; end
        printf 'secret' | t gocryptfs -q c m -o ro; shown; end
        printf 'wrong' | t gocryptfs -q c m; t gocryptfs -info c
        mv c/gocryptfs.conf elsewhere; printf 'secret' | t gocryptfs -q --config elsewhere c m; end
        printf 'secret' | t gocryptfs -q --config=elsewhere c m; end"#,
    sirikali_in_reverse: r#"
        mkdir c m; echo hello >c/file
        printf 'secret' | t gocryptfs -q --init -reverse -scryptn 10 c
        printf 'secret' | t gocryptfs -q -reverse c m; shown; end
        printf 'secret' | t gocryptfs -q -reverse --config c/.gocryptfs.reverse.conf c m; shown; end"#,

    // Vaults for GNOME: src/backend/gocryptfs.rs. Directories stand behind "--"; umount(8) ends the mount.
    vaults: r#"
        mkdir c m
        code gocryptfs --version
        printf 'secret\nsecret\n' | t gocryptfs --init -q -- c
        printf 'secret\n' | t gocryptfs -q -- c m; shown; echo hello >m/file
        t umount m; printf 'wrong\n' | t gocryptfs -q -- c m
        await '! mounted'; printf 'secret\n' | t gocryptfs -q -- c m; cat m/file; await 'umount m'
        printf 'secret\n' | t gocryptfs -q -- c c; printf '\n\n' | t gocryptfs --init -q -- m; printf 'secret\nsecret\n' | t gocryptfs --init -q -- c"#,

    // pam_mount: <volume fstype="fuse" path="gocryptfs#/home/%(USER).cipher" mountpoint="/home/%(USER)"
    // options="nodev,nosuid,quiet,nonempty,allow_other"/>, by mount.fuse, which gives the password on standard input.
    pam_mount_by_mount_fuse: r#"
        volume
        printf 'test' | t gocryptfs "$PWD/c" "$PWD/m" -o rw,nodev,nosuid,quiet,nonempty,allow_other; shown; end
        printf 'test' | t mount.fuse3 gocryptfs#"$PWD/c" "$PWD/m" -o nodev,nosuid,quiet,nonempty,allow_other; shown; end
        printf 'wrong' | t gocryptfs "$PWD/c" "$PWD/m" -o rw,nodev,nosuid,quiet,nonempty,allow_other"#,

    // mount(8) and /etc/fstab, by mount.fuse3.
    mount_8: r#"
        volume; export PATH
        t mount.fuse3 "$PWD/c" "$PWD/m" -t gocryptfs -o "rw,passfile=$PWD/pw,allow_other"; shown; end
        t mount.fuse3 "$(command -v gocryptfs)#$PWD/c" "$PWD/m" -o "ro,nofail,passfile=$PWD/pw,quiet"; shown; end
        t mount.fuse3 "gocryptfs#$PWD/c" "$PWD/m" -o "rw,noexec,nodev,suid,dev,exec,passfile=$PWD/pw,quiet"; shown; end
        t mount.fuse3 "gocryptfs#$PWD/c" "$PWD/m" -o "uid=0,passfile=$PWD/pw,quiet""#,

    // Scripts as manuals and forums have them.
    a_script_with_a_keyring: r#"
        printf '#!/bin/sh\necho test\n' >keyring; chmod +x keyring; volume
        t gocryptfs -extpass ./keyring -q c m; shown; t mountpoint -q m; t fusermount3 -u m
        await '! mounted'; t gocryptfs -extpass './keyring lookup vault home' -idle 1h c m; end"#,
    a_script_that_opens_if_it_is_closed: r#"
        volume
        open() { mountpoint -q m || gocryptfs -q -passfile pw c m; echo $?; }
        open; open; end; open; end"#,
    a_script_that_makes_what_is_missing: r#"
        mkdir c m
        [ -f c/gocryptfs.conf ] || t gocryptfs -q -init -passfile pw -plaintextnames -scryptn 10 c
        t gocryptfs -q -passfile pw c m && echo hello >m/hello; ls c; end"#,
    a_backup_of_an_encrypted_view: r#"
        mkdir plain view copy back; mkdir plain/docs; echo hello >plain/docs/file; echo secret >plain/skip
        t gocryptfs -q -init -reverse -passfile pw -scryptn 10 plain
        t gocryptfs -q -reverse -passfile pw -exclude skip plain view; cp -a view/. copy; end view
        t gocryptfs -q -passfile pw -ro copy back; cat back/docs/file; ls back; end back; t gocryptfs -q -fsck -passfile pw copy"#,
    a_service_in_the_foreground: r#"
        volume; trap 'ready=yes' USR1
        gocryptfs -fg -nosyslog -q -notifypid=$$ -passfile pw c m & pid=$!
        await '[ "$ready" ]'; shown; fusermount3 -u m; wait $pid; echo $?"#,
}
