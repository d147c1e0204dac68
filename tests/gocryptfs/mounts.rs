//! What each flag of a mount does to it: what the kernel shows, who owns what, what can be done.

use crate::same;

/// Mounts with these flags and tells what the kernel knows of it.
fn mounted(flags: &str) -> String {
    format!(
        "volume; t gocryptfs -q -passfile pw {flags} c m; shown; echo hello >m/file; cat m/file; ls -A c | wc -l; end"
    )
}

same! {
    an_ordinary_mount: "volume; t gocryptfs -passfile pw c m; shown; echo hello >m/file; cat m/file; end",
    read_only: mounted("-ro"),
    read_and_write: mounted("-rw"),
    the_restrictive_one_wins: mounted("-rw -ro -dev -nodev -suid -nosuid -exec -noexec"),
    devices: mounted("-dev"),
    no_devices: mounted("-nodev"),
    setuid: mounted("-suid"),
    no_setuid: mounted("-nosuid"),
    programs: mounted("-exec"),
    no_programs: mounted("-noexec"),
    what_mount_8_passes_on: mounted("-o rw,dev,suid"),
    others: mounted("-allow_other"),
    others_loudly: "volume; t gocryptfs -passfile pw -allow_other c m; shown; end",
    acls: mounted("-acl"),
    another_owner: "
        volume; t gocryptfs -q -passfile pw c m; touch m/a; mkdir m/d; ln -s a m/l; end
        t gocryptfs -q -passfile pw -force_owner 1234:4321 c m; shown; stat -c '%u %g %n' m m/*; touch m/new; stat -c '%u %g' m/new; end
        find c -uid 1234; t gocryptfs -q -passfile pw -force_owner 0x10:010 c m; stat -c '%u %g' m/a; end",
    owners_that_are_none: "volume; for o in 1 1: :1 a:b 1:2:3 -1:1 1:-1 '' 4294967296:1 4294967295:1; do t gocryptfs -q -passfile pw -force_owner=$o c m; mounted && end; done",
    a_name: mounted("-fsname name"),
    a_name_with_commas: mounted("-fsname a,b,c"),
    a_name_with_spaces: mounted("-fsname 'a b'"),
    the_usual_name_has_commas: "mkdir m; \"$REAL\" --version >/dev/null; mkdir c,d; \"$REAL\" -q -init -scryptn 10 -passfile pw c,d; t gocryptfs -passfile pw c,d m; shown; end",
    kernel_options: mounted("-ko noexec,noatime"),
    kernel_options_override: mounted("-ko ro,fsname=other"),
    kernel_options_that_are_none: "volume; code gocryptfs -q -passfile pw -ko nosuchoption c m; shown",
    a_cache_of_the_kernel: mounted("-kernel_cache"),
    no_preallocation: mounted("-noprealloc"),
    reads_one_by_one: mounted("-serialize_reads"),
    a_shared_storage: mounted("-sharedstorage"),
    no_syslog: mounted("-nosyslog"),
    not_failing: mounted("-nofail"),
    exclusions: mounted("-ew x"),
    over_other_files: "volume; touch m/below; t gocryptfs -passfile pw c m; t gocryptfs -q -nonempty -passfile pw c m; ls m; end; ls m",
    mount_points_that_are_none: "
        volume; mkdir -p c2/in; touch file
        t gocryptfs -passfile pw c nowhere; t gocryptfs -passfile pw c file; t gocryptfs -passfile pw c c; t gocryptfs -passfile pw c .
        mkdir sub; t gocryptfs -passfile pw c sub/../c; mkdir c/below; t gocryptfs -passfile pw c c/below; t gocryptfs -nonempty -passfile pw c c
        t gocryptfs -nonempty -passfile pw c file",
    a_bad_mount_point_is_told_before_the_password_is_asked: "volume; t gocryptfs -extpass 'touch asked' c nowhere; ls",
    a_volume_that_is_none: "mkdir c m; t gocryptfs -passfile pw c m; t gocryptfs -extpass 'touch asked' c m; ls",
    names_that_are_too_long_fail_without_hashes: "
        volume; long=$(printf 'n%.0s' $(seq 200))
        t gocryptfs -q -passfile pw c m; t touch m/$long; end
        t gocryptfs -q -longnames=false -passfile pw c m; t touch m/$long; t ls m; touch m/short; end; ls c | wc -l",
    bad_names_are_shown: "
        volume; t gocryptfs -q -passfile pw c m; touch m/good; end
        n=$(ls c | grep -v gocryptfs); touch c/bad c/$n.sync-conflict c/bad.2
        t gocryptfs -q -passfile pw c m; ls m; end
        t gocryptfs -q -badname 'bad*' -badname '*.sync-*' -passfile pw c m; ls m; t cat 'm/bad GOCRYPTFS_BAD_NAME'; t rm 'm/bad.2 GOCRYPTFS_BAD_NAME'; end; ls c | wc -l",
    bad_patterns: "volume; t gocryptfs -q -badname '[' -passfile pw c m; t gocryptfs -q -badname '[]a]' -badname 'a[b' -passfile pw c m",
    two_mounts_of_one_volume: "
        volume; mkdir m2
        code gocryptfs -q -passfile pw c m; code gocryptfs -q -passfile pw c m2
        echo one >m/one; cat m2/one; echo two >m2/two; cat m/two; end; end m2",
    two_mounts_that_share: "
        volume; mkdir m2
        t gocryptfs -q -sharedstorage -passfile pw c m; t gocryptfs -q -sharedstorage -passfile pw c m2
        cat m2/one; echo one >m/one; cat m2/one; echo more >>m2/one; cat m/one; rm m/one; cat m2/one
        mkdir m/d; touch m2/d/f; ls m/d; mv m2/d m2/e; ls m; ln m2/e/f m2/g; [ $(stat -c %i m/g) = $(stat -c %i m/e/f) ] && stat -c %h m/g; end; end m2",
    a_mount_beside_one_of_the_real_program: "
        volume; mkdir m2; t \"$REAL\" -q -passfile pw c m; code gocryptfs -q -passfile pw c m2
        echo one >m/one; cat m2/one; echo two >m2/two; sync m2/two; cat m/two; end; end m2",
    acls_are_enforced: "
        volume; chmod 755 . ..; t gocryptfs -q -acl -allow_other -passfile pw c m; echo hello >m/file; chmod 600 m/file
        t runuser -u nobody -- cat m/file; setfacl -m u:nobody:r m/file; getfacl -cp m/file; t runuser -u nobody -- cat m/file; end",
    attributes: "
        volume; t gocryptfs -q -passfile pw c m; touch m/file; setfattr -n user.a -v b m/file; getfattr -d m/file; t getfattr -n user.none m/file; end
        find c -type f -empty -exec getfattr -d {} + | grep -c user.gocryptfs",
    programs_run_or_do_not: "
        volume; t gocryptfs -q -passfile pw c m; printf '#!/bin/sh\necho ran\n' >m/program; chmod +x m/program; t m/program; end
        t gocryptfs -q -noexec -passfile pw c m; t m/program; end",
    sizes_of_the_file_system: "volume; t gocryptfs -q -passfile pw c m; [ $(stat -fc %b c) = $(stat -fc %b m) ] && stat -fc '%l %T' m; end",
    a_dead_mount_is_in_the_way: "
        volume; gocryptfs -q -fg -passfile pw c m & pid=$!; await mounted; await 'obeys $pid'; kill -KILL $pid; { wait $pid; } 2>/dev/null
        code gocryptfs -q -passfile pw c m; fusermount3 -u m; t gocryptfs -q -passfile pw c m; end",
    a_volume_within_a_volume: "
        volume; t gocryptfs -q -passfile pw c m; mkdir m/c m2; t gocryptfs -q -init -scryptn 10 -passfile pw m/c; t gocryptfs -q -passfile pw m/c m2; shown m2; echo hello >m2/file; cat m2/file; end m2; end",
    a_cipher_directory_by_a_link: "volume; ln -s c link; t gocryptfs -q -passfile pw link m; shown; end",
    a_read_only_file_system: "
        volume; mount --bind c c; mount -o remount,bind,ro c
        code gocryptfs -q -passfile pw c m; t touch m/file; end; await 'umount c'",
    a_reverse_mount: "
        mkdir c m; echo hello >c/file; t gocryptfs -q -init -reverse -scryptn 10 -passfile pw c
        t gocryptfs -reverse -passfile pw c m; shown; ls m | wc -l; t touch m/x; mkdir m2; t \"$REAL\" -q -passfile pw m m2; cat m2/file; end m2; end",
    a_reverse_mount_of_another_kind: "volume; t gocryptfs -reverse -passfile pw c m; code gocryptfs -reverse -config c/gocryptfs.conf -passfile pw c m",
    a_reverse_mount_with_exclusions: "
        mkdir c m m2; touch c/a c/b c/c.tmp; t gocryptfs -q -init -reverse -plaintextnames -scryptn 10 -passfile pw c
        t gocryptfs -q -reverse -exclude a -ew '*.tmp' -passfile pw c m; ls -A m; end
        echo b >list; t gocryptfs -q -reverse -exclude-from list -passfile pw c m; ls -A m; end
        t gocryptfs -q -reverse -exclude-from nowhere -passfile pw c m",
    a_reverse_mount_is_never_idle: "mkdir c m; t gocryptfs -q -init -reverse -scryptn 10 -passfile pw c; t gocryptfs -q -reverse -idle 1s -passfile pw c m; end; t gocryptfs -q -reverse -fsck -passfile pw c",
    a_check: "
        volume; t gocryptfs -q -passfile pw c m; echo hello >m/file; end; t gocryptfs -fsck -passfile pw c; t gocryptfs -q -fsck -passfile pw c
        f=$(find c -type f -size -1k ! -name 'gocryptfs.*'); printf 'xxxxxxxx' | dd of=$f bs=1 seek=40 conv=notrunc 2>/dev/null; touch c/bad
        t gocryptfs -fsck -passfile pw c; t gocryptfs -q -fsck -passfile pw c; ls tmp ../tmp",
    a_user_who_is_not_root: "
        volume; chown -R nobody c m; chmod 755 . ..; chmod 644 pw
        g=$(command -v gocryptfs); code runuser -u nobody -- \"$g\" -q -passfile pw c m; shown; t runuser -u nobody -- touch m/file; runuser -u nobody -- fusermount3 -u m
        rm -f m/file; code runuser -u nobody -- \"$g\" -q -allow_other -passfile pw c m",
    what_others_make_belongs_to_them: "
        volume; chmod 755 . ..; t gocryptfs -q -allow_other -passfile pw c m; chmod 777 m
        runuser -u nobody -- touch m/file; runuser -u nobody -- mkdir m/dir; stat -c '%U %n' m/*; end",
    the_root_of_a_mount: "volume; chmod 750 c; t gocryptfs -q -passfile pw c m; stat -c '%a %u %g %F' m; end",
}
