//! `-passwd` and `-info`: what is told of a volume, and what of it changes.

use crate::same;

same! {
    a_password_is_changed: "
        volume; cp c/gocryptfs.conf before
        printf 'test\nnew\n' | t gocryptfs -passwd c
        cmp -s before c/gocryptfs.conf || echo changed; grep '\"N\"' c/gocryptfs.conf; ls -l c/gocryptfs.conf | cut -c1-10; ls -A c
        printf 'test\n' | t gocryptfs c m
        printf 'new\n' | t gocryptfs -q c m; end
        printf 'new\n' | t \"$REAL\" -q c m; end",
    a_password_is_changed_quietly: "volume; printf 'test\nnew\n' | t gocryptfs -q -passwd c",
    the_new_password_is_the_second_line_as_it_is: "volume; printf 'test\n new \r\n' | t gocryptfs -q -passwd c; printf ' new \r\n' | t \"$REAL\" -q c m; end",
    a_wrong_password: "volume; cp c/gocryptfs.conf before; printf 'wrong\nnew\n' | t gocryptfs -passwd c; cmp before c/gocryptfs.conf",
    no_new_password: "volume; cp c/gocryptfs.conf before; printf 'test\n' | t gocryptfs -passwd c; printf 'test\n\n' | t gocryptfs -passwd c; cmp before c/gocryptfs.conf; ls -A c",
    no_password_at_all: "volume; t gocryptfs -passwd c",
    the_cost_is_kept_unless_another_is_wanted: "
        volume -scryptn 11
        printf 'test\nnew\n' | t gocryptfs -q -passwd c; grep '\"N\"' c/gocryptfs.conf
        printf 'new\ntest\n' | t gocryptfs -q -passwd -scryptn 12 c; grep '\"N\"' c/gocryptfs.conf
        printf 'test\nnew\n' | t gocryptfs -q -passwd -scryptn 9 c; grep '\"N\"' c/gocryptfs.conf; ls -A c",
    the_master_key_instead_of_the_password: "
        volume; cp c/gocryptfs.conf before
        key=$(echo test | \"$REAL_XRAY\" -dumpmasterkey c/gocryptfs.conf)
        printf 'new\n' | t gocryptfs -passwd -masterkey $key c; ls -A c; cmp before c/gocryptfs.conf.bak
        printf 'new\n' | t \"$REAL\" -q c m; end
        printf 'new\n' | t gocryptfs -passwd -masterkey $key c",
    a_configuration_that_is_elsewhere: "
        volume; mv c/gocryptfs.conf conf
        printf 'test\nnew\n' | t gocryptfs -passwd c
        printf 'test\nnew\n' | t gocryptfs -q -passwd -config conf c; ls; ls -A c
        printf 'new\n' | t gocryptfs -q -config conf c m; end",
    unknown_fields_are_lost: "volume; sed -i 's/{/{\"Extra\": 1,/' c/gocryptfs.conf; printf 'test\nnew\n' | t gocryptfs -q -passwd c; grep -c Extra c/gocryptfs.conf",
    information_of_every_kind: "
        for a in '' -aessiv -xchacha -plaintextnames -deterministic-names '-longnamemax 70' '-xchacha -plaintextnames' '-scryptn 12'; do
            rm -rf c; volume $a; t gocryptfs -info c; t gocryptfs -q -info c
        done",
    information_of_what_is_none: "
        mkdir c; t gocryptfs -info c
        for conf in '' '{' '[]' 'null' 'x'; do printf '%s' \"$conf\" >c/gocryptfs.conf; code gocryptfs -info c; done
        for conf in '{}' '{\"Version\":1}' '{\"Version\":2}'; do printf '%s' \"$conf\" >c/gocryptfs.conf; t gocryptfs -info c; done",
    information_from_elsewhere: "volume; mv c/gocryptfs.conf conf; t gocryptfs -info -config conf c; t gocryptfs -info -config nowhere c; mkfifo p; cat conf >p & t gocryptfs -info -config p c",
    information_of_an_old_volume: "
        volume; sed -i '/Raw64/d; s/\"LongNames\",/\"LongNames\"/' c/gocryptfs.conf; t gocryptfs -info c",
    damaged_configurations: "
        volume; cp c/gocryptfs.conf good; chmod 600 c/gocryptfs.conf
        try() { sed \"$1\" good >c/gocryptfs.conf; echo \"# $1\"; code gocryptfs -info c; code gocryptfs -passfile pw c m; code gocryptfs -fsck -passfile pw c; printf 'test\nnew\n' | code gocryptfs -passwd c; }
        try 's/\"Version\": 2/\"Version\": 3/'
        try 's/\"Version\": 2/\"Version\": \"2\"/'
        try 's/\"N\": 1024/\"N\": 512/'
        try 's/\"R\": 8/\"R\": 7/'
        try 's/\"P\": 1/\"P\": 0/'
        try 's/\"KeyLen\": 32/\"KeyLen\": 16/'
        try 's/\"Salt\": \".*\"/\"Salt\": \"AAAA\"/'
        try 's/\"Salt\": \".*\"/\"Salt\": \"!\"/'
        try 's/\"HKDF\"/\"NoSuchFlag\"/'
        try 's/\"GCMIV128\"/\"XChaCha20Poly1305\"/'
        try 's/\"GCMIV128\"/\"GCMIV128\", \"XChaCha20Poly1305\"/'
        try 's/\"GCMIV128\"/\"AESSIV\"/'
        try 's/\"EMENames\"/\"EMENames\", \"PlaintextNames\"/'
        try 's/\"EMENames\"/\"EMENames\", \"LongNameMax\"/'
        try 's/\"Version\": 2/\"Version\": 2, \"LongNameMax\": 100/'
        try 's/\"Version\": 2/\"Version\": 2, \"LongNameMax\": 256/'
        try 's/\"EncryptedKey\": \".\\{8\\}/\"EncryptedKey\": \"AAAAAAAA/'
        try '$s/$/ x/'
        try '$d'
        : >c/gocryptfs.conf; code gocryptfs -info c; code gocryptfs -passfile pw c m",
    lenient_configurations: "
        volume; cp c/gocryptfs.conf good; chmod 600 c/gocryptfs.conf
        try() { sed \"$1\" good >c/gocryptfs.conf; echo \"# $1\"; t gocryptfs -q -passfile pw c m; end; }
        try 's/\"Creator\": .*,/\"creator\": null,/'
        try '/Creator/d'
        try 's/\"Version\"/\"vErSiOn\"/'
        try 's/\"GCMIV128\"/\"GCMIV128\", \"GCMIV128\"/'
        try 's/\"Version\": 2/\"Version\": 2, \"More\": [1, {}]/'
        try '/LongNames/d'",
}
