//! `-init`: what it makes, of what, and when it refuses.

use crate::same;

/// Makes a volume with these flags and tells what was made.
fn made(flags: &str) -> String {
    format!(
        "mkdir c; t gocryptfs -init -scryptn 10 -passfile pw {flags} c
         sed 's/\"Creator\": .*/\"Creator\"/' c/gocryptfs.conf; ls -ln c | awk 'NR > 1 {{ print $1, $9 }}'; t gocryptfs -info c"
    )
}

same! {
    an_ordinary_volume: made(""),
    a_volume_by_siv: made("-aessiv"),
    a_volume_by_xchacha: made("-xchacha"),
    a_volume_with_plaintext_names: made("-plaintextnames"),
    a_volume_with_deterministic_names: made("-deterministic-names"),
    a_volume_with_short_long_names: made("-longnamemax 100"),
    a_volume_with_the_usual_long_names: made("-longnamemax 255"),
    a_volume_of_everything: made("-aessiv -deterministic-names -longnamemax 62"),
    a_volume_by_xchacha_with_plaintext_names: made("-xchacha -plaintextnames"),
    a_volume_by_siv_with_plaintext_names: made("-aessiv -plaintextnames"),
    two_kinds_of_names: made("-plaintextnames -deterministic-names"),
    plaintext_names_have_no_length: made("-plaintextnames -longnamemax 100"),
    two_ciphers: "mkdir c; code gocryptfs -init -scryptn 10 -passfile pw -aessiv -xchacha c; ls -A c",
    no_volume_without_hkdf_can_be_made: made("-hkdf=false -raw64=false -longnames=false"),
    a_quiet_volume: made("-q"),
    a_reverse_volume: "
        mkdir c; echo hello >c/file
        t gocryptfs -init -reverse -scryptn 10 -passfile pw c
        ls -A c; sed 's/\"Creator\": .*/\"Creator\"/' c/.gocryptfs.reverse.conf; t gocryptfs -info -reverse c; t gocryptfs -info c
        t gocryptfs -init -reverse -scryptn 10 -passfile pw c",
    reverse_volumes_of_kinds: "
        for a in -xchacha -aessiv -plaintextnames -deterministic-names '-longnamemax 100'; do
            rm -rf c; mkdir c
            t gocryptfs -q -init -reverse -scryptn 10 -passfile pw $a c
            grep -v Creator c/.gocryptfs.reverse.conf
        done",
    the_cost_of_the_password: "
        for n in 9 10 11 28 29 64 65 0 -5; do
            rm -rf c; mkdir c
            case $n in 28|29|64|65|0|-5) continue;; esac
            t gocryptfs -q -init -scryptn $n -passfile pw c
            grep '\"N\"' c/gocryptfs.conf
        done",
    the_usual_cost_of_the_password: "mkdir c; t gocryptfs -q -init -scryptn 0 -passfile pw c; grep '\"N\"' c/gocryptfs.conf",
    a_directory_that_is_not_empty: "mkdir c; touch c/x; t gocryptfs -init -passfile pw c; volume; t gocryptfs -init -passfile pw c; ls c",
    a_volume_that_is_there: "mkdir c m; \"$REAL\" -q -init -scryptn 10 -passfile pw c; t gocryptfs -init -passfile pw c; ls c",
    a_configuration_elsewhere: "
        mkdir c
        t gocryptfs -init -scryptn 10 -passfile pw -config conf c; ls c; ls -l conf | cut -c1-10
        mkdir d; t gocryptfs -q -init -scryptn 10 -passfile pw -config conf d; ls d; ls conf*",
    a_configuration_that_cannot_be_written: "
        mkdir d
        code gocryptfs -init -scryptn 10 -passfile pw -config nowhere/conf d; ls d",
    a_leftover_of_a_configuration: "mkdir c; touch c/gocryptfs.conf.tmp; t gocryptfs -init -passfile pw c; ls c",
    passwords_come_before_nothing_is_written: "mkdir c; t gocryptfs -init -scryptn 10 -passfile nowhere c; ls -A c; : >empty; t gocryptfs -init -scryptn 10 -passfile empty c; ls -A c",
    a_password_from_standard_input: "mkdir c m; printf 'secret\n' | t gocryptfs -init -scryptn 10 c; printf secret | t \"$REAL\" -q c m; end",
    an_empty_password: "mkdir c; printf '\n' | t gocryptfs -init -scryptn 10 c; t gocryptfs -init -scryptn 10 c; ls -A c",
    a_password_from_a_program: "mkdir c m; t gocryptfs -init -scryptn 10 -extpass 'echo secret' c; printf secret | t \"$REAL\" -q c m; end",
    a_read_only_directory: "
        mkdir c; mount -t tmpfs -o ro none c
        code gocryptfs -init -scryptn 10 -passfile pw c
        umount c",
    an_umask: "mkdir c; umask 077; t gocryptfs -q -init -scryptn 10 -passfile pw c; ls -ln c | awk 'NR > 1 { print $1, $9 }'",
    the_other_flags_do_not_disturb: "mkdir c; t gocryptfs -init -scryptn 10 -passfile pw -ro -allow_other -nonempty -fg -idle 1h -ctlsock s -fsname x c; ls",
    passwords_of_the_user_are_found_by_their_way: "
        mkdir 'c d' m; t gocryptfs -q -init -scryptn 10 -passfile pw 'c d'; ls 'c d'; ln -s 'c d' link; t gocryptfs -info link
        t gocryptfs -init -scryptn 10 -passfile pw ./m/../m/; ls m",
}
