//! Where passwords and master keys come from.

use crate::same;

same! {
    a_password_from_standard_input: "volume; printf 'test\n' | t gocryptfs c m; end; printf test | t gocryptfs -q c m; end",
    what_follows_the_line_is_left_alone: "
        volume; { echo test; echo more; } >two
        { t gocryptfs -q c m; cat; } <two; end
        { t gocryptfs -fsck -q c; cat; } <two",
    a_password_is_what_it_is: "
        for p in ' test ' 'test\\r' 'tést' '\\t' 'a b'; do
            rm -rf c; mkdir -p c m; printf \"$p\" | t \"$REAL\" -q -init -scryptn 10 c
            printf \"$p\\nmore\" | t gocryptfs -q c m; end
        done",
    wrong_passwords: "volume; printf 'wrong\n' | t gocryptfs c m; printf 'test \n' | t gocryptfs c m; printf 'test\r\n' | t gocryptfs c m; printf 'test\n' | t gocryptfs -q -nosyslog -wpanic c m; end; printf 'wrong\n' | code gocryptfs -wpanic c m",
    no_password: "volume; t gocryptfs c m; printf '\n' | t gocryptfs c m; printf '\n' | t gocryptfs -q -fsck c; t gocryptfs -fsck c",
    a_password_that_is_too_long: "
        volume; python3 -c 'print(\"x\" * 2048)' >long; python3 -c 'print(\"x\" * 2049)' >longer
        t gocryptfs c m <long; t gocryptfs c m <longer; t gocryptfs -passfile long c m; t gocryptfs -passfile longer c m
        t gocryptfs -extpass 'cat longer' c m
        mkdir d; t gocryptfs -q -init -scryptn 10 d <longer; t gocryptfs -q -init -scryptn 10 d <long",
    a_password_from_a_file: "volume; t gocryptfs -passfile pw c m; end; printf test >pw; t gocryptfs -q -passfile pw c m; end; printf 'test\nmore\n' >pw; t gocryptfs -q -passfile pw c m; end",
    a_password_from_several_files: "
        printf te >a; printf 'st\n' >b; volume
        t gocryptfs -passfile a -passfile b c m; end
        t gocryptfs -passfile b -passfile a c m; t gocryptfs -q -o passfile=a,passfile=b c m; end",
    a_password_from_a_pipe: "volume; mkfifo p; cat pw >p & t gocryptfs -q -passfile p c m; end; t sh -c 'cat pw | gocryptfs -q -passfile /dev/stdin c m'; end; t sh -c 'exec 7<pw; gocryptfs -q -passfile /dev/fd/7 c m'; end",
    files_without_a_password: "volume; : >empty; printf '\n' >line; for f in nowhere empty line . c; do t gocryptfs -passfile $f c m; done",
    a_password_from_a_program: "volume; t gocryptfs -extpass 'cat pw' c m; end; t gocryptfs -q -extpass cat -extpass pw c m; end; t gocryptfs -q -extpass='echo test' c m; end",
    the_words_of_a_program: "
        printf '#!/bin/sh\\nfor a; do printf \"<%%s>\" \"$a\"; done >words; echo test\\n' >say; chmod +x say; volume
        for a in './say a  b' \"./say 'a b'\" './say \\b \\$HOME'; do t gocryptfs -q -extpass \"$a\" c m; end; cat words; echo; done
        t gocryptfs -q -extpass ./say -extpass 'a b' -extpass=-c c m; end; cat words; echo
        t gocryptfs -q -extpass ./say -extpass -c c m; end; cat words; echo",
    programs_without_a_password: "
        volume
        for a in false 'echo' 'true' nowhere /nowhere/x 'sh -c exit' './pw'; do t gocryptfs -extpass \"$a\" c m; done",
    a_program_that_says_more: "volume; printf 'test\nmore\n' >two; t gocryptfs -q -extpass 'cat two' c m; end; t gocryptfs -q -extpass 'sh say' c m",
    a_program_complains_on_standard_error: "volume; printf 'echo oh >&2; echo test\n' >say; t gocryptfs -q -extpass 'sh say' c m; end",
    a_program_that_fails_with_a_password: "volume; printf 'echo test; exit 3\n' >say; t gocryptfs -q -extpass 'sh say' c m",
    by_the_master_key: "
        volume; \"$REAL\" -q -passfile pw c m; echo hello >m/file; end
        key=$(echo test | \"$REAL_XRAY\" -dumpmasterkey c/gocryptfs.conf)
        t gocryptfs -masterkey $key c m; cat m/file; end
        t gocryptfs -q -masterkey $(echo $key | sed 's/......../&-/g; s/-$//') c m; cat m/file; end
        echo $key | t gocryptfs -masterkey=stdin c m; cat m/file; end
        rm -f c/gocryptfs.conf; t gocryptfs -q -masterkey $key c m; cat m/file; end",
    master_keys_that_are_none: "
        volume
        for k in 00 xyz zz$(printf '0%.0s' $(seq 62)) $(printf '0%.0s' $(seq 62)) $(printf '0%.0s' $(seq 66)) -- ; do t gocryptfs -masterkey=$k c m; done
        echo 00 | t gocryptfs -masterkey=stdin c m; t gocryptfs -masterkey=stdin c m",
    the_key_of_zeros: "volume; t gocryptfs -zerokey c m; echo hello >m/file; end; t \"$REAL\" -q -zerokey c m; cat m/file; end; ls c | wc -l",
    the_key_of_zeros_by_every_kind: "
        for a in '' -aessiv -xchacha -plaintextnames -deterministic-names '-raw64=false' '-hkdf=false' '-hkdf=false -aessiv' '-longnames=false' '-longnamemax 70' '-aessiv -xchacha'; do
            rm -rf c; volume; echo \"# $a\"
            t gocryptfs -q -zerokey $a c m; echo hello >m/file; echo long >m/$(printf 'n%.0s' $(seq 100)); ls m; end
            t \"$REAL\" -q -zerokey $a c m; cat m/file; ls m; end
        done",
    what_a_key_opens_without_a_configuration_is_told_by_flags: "
        volume -xchacha -plaintextnames; \"$REAL\" -q -passfile pw c m; echo hello >m/file; end
        key=$(echo test | \"$REAL_XRAY\" -dumpmasterkey c/gocryptfs.conf)
        t gocryptfs -q -masterkey $key -xchacha -plaintextnames c m; cat m/file; end",
    flags_of_a_volume_are_overridden_by_its_configuration: "
        volume; \"$REAL\" -q -passfile pw c m; echo hello >m/file; end
        for a in -aessiv -xchacha -plaintextnames -deterministic-names '-raw64=false' '-hkdf=false' '-longnamemax 62'; do t gocryptfs -q -passfile pw $a c m; cat m/file; end; done",
    a_configuration_from_a_pipe: "volume; mv c/gocryptfs.conf conf; mkfifo p; cat conf >p & t gocryptfs -q -config p -passfile pw c m; end",
    a_configuration_elsewhere: "volume; mv c/gocryptfs.conf conf; t gocryptfs -passfile pw c m; t gocryptfs -q -config conf -passfile pw c m; end; t gocryptfs -config nowhere -passfile pw c m; code gocryptfs -config . -passfile pw c m",
    a_volume_for_a_token: "
        volume; sed -i 's/\"Raw64\"/\"Raw64\", \"FIDO2\"/; s/\"Version\"/\"FIDO2\": {\"CredentialID\": \"AAAA\", \"HMACSalt\": \"AAAA\"}, \"Version\"/' c/gocryptfs.conf
        t gocryptfs -passfile pw c m; t gocryptfs -fido2 /nowhere c m; printf 'a\nb\n' | t gocryptfs -passwd c; t gocryptfs -info c",
}
