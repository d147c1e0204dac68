//! What one program made and wrote, the other opens and reads; and the other way round.

use crate::same;

/// The program makes a volume and writes into it, the real one reads it; and the other way round.
fn back_and_forth(flags: &str) -> String {
    format!(
        "long=$(printf 'n%.0s' $(seq 200))
         grow() {{ echo hello >m/file; mkdir m/dir; head -c 10000 /dev/zero >m/dir/zeros; ln -s ../file m/dir/link; ln m/file m/hard; echo long >m/$long; setfattr -n user.x -v y m/file; truncate -s 9999 m/sparse; }}
         look() {{ cat m/file m/dir/link m/$long; cmp m/dir/zeros /dev/zero; stat -c '%n %s %h %F' m/* m/dir/*; getfattr --only-values -n user.x m/file; echo; }}
         mkdir c m; t gocryptfs -q -init -scryptn 10 -passfile pw {flags} c
         t gocryptfs -q -passfile pw c m; grow; look; end
         t \"$REAL\" -q -passfile pw c m; look; end; t \"$REAL\" -q -fsck -passfile pw c
         rm -rf c; volume {flags}; \"$REAL\" -q -passfile pw c m; grow; end
         t gocryptfs -q -passfile pw c m; look; end; t gocryptfs -q -fsck -passfile pw c"
    )
}

same! {
    ordinary: back_and_forth(""),
    by_siv: back_and_forth("-aessiv"),
    by_xchacha: back_and_forth("-xchacha"),
    plaintext_names: back_and_forth("-plaintextnames"),
    deterministic_names: back_and_forth("-deterministic-names"),
    short_long_names: back_and_forth("-longnamemax 62"),
    by_siv_with_plaintext_names: back_and_forth("-aessiv -plaintextnames"),
    by_xchacha_with_deterministic_names: back_and_forth("-xchacha -deterministic-names"),
    by_xchacha_with_plaintext_names: back_and_forth("-xchacha -plaintextnames"),
    by_siv_with_deterministic_names: back_and_forth("-aessiv -deterministic-names"),
    a_password_that_the_other_changed: "
        volume; printf 'test\nnew\n' | t \"$REAL\" -q -passwd c; printf new | t gocryptfs -q c m; end
        printf 'new\nnewer\n' | t gocryptfs -q -passwd c; printf newer | t \"$REAL\" -q c m; end",
    a_volume_of_before_hkdf: "
        volume; t gocryptfs -q -zerokey -hkdf=false -raw64=false c m; echo hello >m/file; end; t \"$REAL\" -q -zerokey -hkdf=false -raw64=false c m; cat m/file; end",
}
