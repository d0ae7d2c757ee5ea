# A row of burn_note that was damaged on disk opens nothing and burns nothing. Some
# hundreds of notes get one byte of their row changed while the server is stopped, without
# checksums; then each is looked at, read, revoked or swept. The server must never stop,
# no call may hang, and where no note was opened the row must lie there as it did. Receipts
# are looked at, too.
#
# What PostgreSQL survives for no table is left alone: the page's header and line pointers,
# and the tuple header's transaction ids and flags.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Burn;
use BurnNote qw(wait_until_it_accepts);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Where a row's bytes are, from the start of its tuple
use constant {
	NATTS => 18,
	HOFF => 22,
	NULLS => 23,
	ID => 24,
	CREATED_AT => 40,
	FUSE => 48,
	FUSE_STATE => 49,
	FUSE_ALLOWED => 50,
	FUSE_LEFT => 51,
	FUSE_SPARE => 52,
	FUSE_HALF => 60,
	SEALED => 92,    # the length word, or the TOAST pointer; or a creator, and it four bytes later
	SEALED_HEADER => 96,
	SEALED_FLAGS => 97,
	SEALED_BODY => 100,
	RECEIPT_LENGTHS => [ 57, 64, 73 ],    # of client_ip, actor and seal
	SHORT_ROW => 244,    # the length of one with a short note
	TOAST_VALUE => 102,
	TOAST_TABLE => 106,
	TOASTED_ROW => 110,
};
use constant {
	BLOCK => 8192,
	PASSPHRASE => 'open sesame',
	DAMAGED => qr/^XX001$/,
};

plan skip_all => 'these rows are laid out as on a 64-bit little-endian machine'
  unless pack('L', 1) eq pack('V', 1) && length pack('j', 0) == 8;

# Ways to change a byte
my @three = (sub { $_[0] ^ 1 << $_[0] % 8 }, sub { $_[0] == 0xFF ? 0 : 0xFF }, sub { ($_[0] + 1) % 256 });
my @each_bit = ($three[1], map { my $bit = $_; sub { $_[0] ^ 1 << $bit } } 0 .. 7);

my $node;
my @cases;    # of one node: hashes of kind, offset, change, token, place, note, read, remains

# Adds a case for each of these changes at each of these offsets. Answers of burn_read()
# match read; where it is 'note', they are the note, and where 'either', that or XX001.
sub damage
{
	my ($kind, $offsets, $changes, $read) = @_;

	foreach my $offset (@$offsets)
	{
		push @cases, { kind => $kind, offset => $offset, change => $_, read => $read } foreach @$changes;
	}
	return;
}

# The answers to these statements, each in a transaction of its own: CRASH where the
# server stopped, HANG where the statement had to be cancelled.
sub answers
{
	my @statements = @_;
	my $timeout = $PostgreSQL::Test::Utils::timeout_default;
	my $file = $node->basedir . '/statements.sql';
	my @answers;

	while (@answers < @statements)
	{
		unlink $file;
		append_to_file($file, join '', "SET statement_timeout = '${timeout}s';\n",
			map { "SELECT 'answer $_: ' || answer(\$\$$statements[$_]\$\$);\n" } @answers .. $#statements);
		my ($status, $stdout) = $node->psql('postgres', "\\i $file", on_error_stop => 0);
		my %answer = $stdout =~ /^answer (\d+): (.*)$/mg;
		my ($last) = $status == 2 ? sort { $b <=> $a } keys %answer : $#statements;

		push @answers, map { $answer{$_} // 'HANG' } @answers .. $last // -1;
		if ($status == 2)
		{
			push @answers, 'CRASH';
			wait_until_it_accepts($node);
		}
	}
	return @answers;
}

# Names of the cases that a test finds wrong
sub wrong
{
	my ($test, @of) = @_;
	return join "\n", map {
		my $complaint = $test->($_);
		defined $complaint ? sprintf('%s, offset %d, %02x to %02x: %s', @$_{qw(kind offset from to)}, $complaint) : ()
	} @of;
}

# Asks for each case of @of, stores the answer as $name, and tests it
sub ask_each
{
	my ($name, $what, $statement, $expected, @of) = @_;
	my @answers = answers(map { sprintf $statement, $_->{token} } @of);

	$of[$_]{$name} = $answers[$_] foreach 0 .. $#of;
	my %count;
	$count{ $_->{note} eq $_->{$name} ? 'the note' : $_->{$name} }++ foreach @of;
	note("$what: ", join ', ', map { "$count{$_} $_" } sort keys %count);
	is(wrong(sub { my ($case) = @_; $expected->($case) ? undef : $case->{$name} }, @of), '', $what);
	return;
}

sub file_of
{
	my ($relation) = @_;
	return $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('$relation')");
}

sub overwrite
{
	my ($file, $content) = @_;
	open my $handle, '+<:raw', $file or die "$file: $!";
	print {$handle} $content;
	close $handle or die "$file: $!";
	return;
}

# Where a case's tuple is in its file, and the flags of its line pointer
sub tuple_of
{
	my ($case, $content) = @_;
	my ($block, $item) = @{ $case->{place} };
	my $pointer = unpack 'V', substr $$content, $block * BLOCK + 24 + 4 * ($item - 1), 4;
	return ($block * BLOCK + ($pointer & 0x7FFF), $pointer >> 15 & 3);
}

# The cases' rows as they lie in the file
sub rows_in
{
	my ($content, @of) = @_;
	return map {
		my ($at, $flags) = tuple_of($_, $content);
		join ' ', $flags, unpack 'H*', substr $$content, $at + HOFF, $_->{length} - HOFF;
	} @of;
}

# Makes a note for each case, and changes its byte
my %make = (
	short => [ '', "burn_create('note ' || i)", "'note ' || i", SHORT_ROW ],
	counted => [ 'SET burn_note.max_pending = 100000', "burn_create('note ' || i)", "'note ' || i", SHORT_ROW + 4 ],
	toasted => [ '', "burn_create(repeat('note ' || i, 1000))", "repeat('note ' || i, 1000)", TOASTED_ROW ],
	passphrase => [ '', "burn_create('note ' || i, NULL, '${\PASSPHRASE}')", "'note ' || i", SHORT_ROW ],
	expired => [ '', "burn_create('note ' || i, interval '1 ms')", "'note ' || i", SHORT_ROW ],
	expired_toasted => [ '', "burn_create(repeat('note ' || i, 1000), interval '1 ms')", "repeat('note ' || i, 1000)", TOASTED_ROW ],
	lit => [ '', "burn_create('note ' || i)", "'note ' || i", SHORT_ROW ],
	read => [ '', "burn_create('note ' || i)", "'note ' || i", SHORT_ROW ]);

sub make_and_damage
{
	my @of = @_;
	my %by_kind;

	push @{ $by_kind{ $_->{kind} } }, $_ foreach @of;
	foreach my $kind (sort keys %by_kind)
	{
		my ($before, $create, $note, $length) = @{ $make{$kind} };
		my $count = @{ $by_kind{$kind} };
		my @made = split /\n/, $node->safe_psql('postgres', <<~"SQL");
			$before;
			SELECT $create, $note FROM generate_series(1, $count) AS i;
			SQL
		@$_{qw(token note)} = split /\|/, shift @made foreach @{ $by_kind{$kind} };
		$_->{length} = $length foreach @{ $by_kind{$kind} };
	}
	$node->safe_psql('postgres',
		join '', map { "BEGIN; SELECT burn_read('$_->{token}', '192.0.2.7'); ROLLBACK;\n" } @{ $by_kind{lit} // [] });

	$node->safe_psql('postgres', join '', map { "SELECT burn_read('$_->{token}', '192.0.2.7');\n" } @{ $by_kind{read} // [] });

	my $table = $by_kind{read} ? 'burn_receipt' : 'burn_note';
	my $tokens = join ',', map { $_->{token} } @of;
	my %place = map { /^(\w\S+)\|\((\d+),(\d+)\)$/ ? ($1 => [ $2, $3 ]) : () } split /\n/, $node->safe_psql('postgres',
		"SELECT token, n.ctid FROM unnest('{$tokens}'::text[]) AS token JOIN $table AS n ON id = burn_note_id(token)");
	is(scalar keys %place, scalar @of, 'each note has a row');

	my $file = file_of($table);
	$node->stop;
	my $content = slurp_file($file);
	foreach my $case (@of)
	{
		$case->{place} = $place{ $case->{token} };
		my ($at) = tuple_of($case, \$content);
		$case->{from} = ord substr $content, $at + $case->{offset}, 1;
		$case->{to} = $case->{change}->($case->{from});
		substr($content, $at + $case->{offset}, 1) = chr $case->{to};
	}
	overwrite($file, $content);
	my @rows = rows_in(\$content, @of);
	$of[$_]{row} = $rows[$_] foreach 0 .. $#of;
	$node->start;
	return;
}

# Those of the cases whose rows are not as make_and_damage() left them, if only by a
# delete that was rolled back
sub changed_rows
{
	my @of = @_;
	my $file = file_of('burn_note');

	$node->stop;
	my $content = slurp_file($file);
	my @rows = rows_in(\$content, @of);
	$of[$_]{now} = $rows[$_] foreach 0 .. $#of;
	$node->start;
	return wrong(sub { $_[0]{now} eq $_[0]{row} ? undef : "\n$_[0]{row} became\n$_[0]{now}" }, @of);
}

sub is_as_expected
{
	my ($case) = @_;
	return $case->{read} =~ /^(note|either)$/ if $case->{answer} eq $case->{note};
	return $case->{answer} =~ ($case->{read} eq 'either' ? DAMAGED : $case->{read});
}

$node = new_node('damaged');
$node->append_conf('postgresql.conf', 'restart_after_crash = on');
$node->start;
$node->safe_psql('postgres', <<~'SQL');
	CREATE EXTENSION burn_note CASCADE;
	CREATE FUNCTION answer(statement text) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		result text;
	BEGIN
		EXECUTE statement INTO result;
		RETURN coalesce(result, 'NULL');
	EXCEPTION WHEN OTHERS THEN
		RETURN SQLSTATE;
	END $$;
	SQL
is($node->safe_psql('postgres', 'SHOW data_checksums'), 'off', 'no checksum finds the damage');

# What a row's columns are read by. Four columns instead of five are possible, since the
# last is NULL, and so are NULLs behind the last.
damage('short', [ NATTS, HOFF, NULLS ], \@each_bit, 'either');
damage('counted', [ NATTS, HOFF ], \@each_bit, DAMAGED);
damage('toasted', [ NATTS, HOFF, NULLS ], \@each_bit, 'either');

# Id, time of creation, fuse, and the sealed note with its length
damage('short', [ ID .. FUSE - 1, FUSE_ALLOWED .. SEALED - 1, SEALED_HEADER .. SHORT_ROW - 1 ], \@three, DAMAGED);
damage('short', [ FUSE, FUSE_STATE, SEALED .. SEALED_HEADER - 1 ], \@each_bit, DAMAGED);
damage('counted', [ SEALED + 4 .. SEALED_HEADER + 3 ], \@each_bit, DAMAGED);
damage('toasted', [ SEALED .. TOASTED_ROW - 1 ], \@each_bit, DAMAGED);

# Whom a note is counted for says nothing of the note
damage('counted', [ SEALED .. SEALED + 3 ], \@three, 'note');

# With a passphrase: five attempts, five left. Fewer left are possible.
damage('passphrase', [ ID, FUSE_STATE, FUSE_SPARE, SEALED, SEALED_HEADER ], \@three, DAMAGED);
damage('passphrase', [FUSE_LEFT], [ map { my $left = $_; sub { $left } } 6, 0x7F, 0x80, 0xFF ], DAMAGED);
damage('passphrase', [FUSE_LEFT], [ map { my $left = $_; sub { $left } } 4, 1 ], 'note');
damage('passphrase', [FUSE_ALLOWED], [ map { my $allowed = $_; sub { $allowed } } 0, 1, 4, 101, 0xFF ], DAMAGED);
damage('passphrase', [SEALED_FLAGS], [ map { my $flags = $_; sub { $flags } } 0, 6, 0x82, 0xFF ], DAMAGED);
damage('passphrase', [SEALED_FLAGS], [ sub { 3 } ], qr/^22000$/);

# What only the key can find out is a wrong passphrase
damage('passphrase', [ CREATED_AT, FUSE_HALF, SEALED_BODY ], [ $three[0] ], qr/^NULL$/);
damage('passphrase', [FUSE_ALLOWED], [ sub { 6 } ], qr/^NULL$/);

my @unread = @cases;
make_and_damage(@unread);
note(scalar @unread, ' rows have one byte changed');

ask_each('status', 'burn_status_says_an_error_or_that_it_is_sealed',
	"SELECT state FROM burn_status('%s')", sub { $_[0]{status} =~ /^(XX001|sealed)$/ }, @unread);
ask_each('answer', 'a_damaged_row_opens_nothing',
	"SELECT burn_read('%s', NULL, '${\PASSPHRASE}')", \&is_as_expected, @unread);
is(changed_rows(grep { $_->{answer} ne $_->{note} && $_->{answer} ne 'NULL' } @unread),
	'', 'a_damaged_row_is_not_burned_and_costs_no_attempt');
is($node->safe_psql('postgres', "SELECT count(*) FROM burn_receipt WHERE outcome <> 'r'"), 0, 'no other receipt was written');
is($node->safe_psql('postgres', 'SELECT count(*) FROM burn_receipt'),
	scalar(grep { $_->{answer} eq $_->{note} } @unread), 'each note that was opened has a receipt');
is($node->safe_psql('postgres', 'SELECT count(*) FROM burn_attempt'),
	scalar(grep { $_->{answer} eq 'NULL' } @unread), 'each attempt is recorded');

my @remaining = grep { $_->{answer} ne $_->{note} } @unread;
my $log_end = -s $node->logfile;
is($node->safe_psql('postgres', 'SELECT count(*) > 0 FROM burn_check()'), 't', 'burn_check_survives_damaged_rows');
like($node->safe_psql('postgres', 'SELECT pending_notes, pending_bytes FROM burn_stats'), qr/^\d+\|\d+$/, 'burn_stats_survives_damaged_rows');
is($node->safe_psql('postgres', 'SET burn_note.max_pending = 100000; SELECT burn_create($$counted$$) LIKE $$bn1%$$'),
	't', 'burn_create_counts_past_damaged_rows');
like(slurp_file($node->logfile, $log_end), qr/WARNING:  .*damaged/, 'the log tells of them');

ask_each('revoked', 'a_damaged_row_is_revoked_or_an_error',
	"SELECT burn_revoke('%s')", sub { $_[0]{revoked} =~ /^(XX001|true)$/ }, @remaining);
is(changed_rows(grep { $_->{revoked} ne 'true' } @remaining), '', 'an_error_revokes_nothing');

# A fuse that is lit, of a read that was rolled back: an error, or a receipt whose seal
# says that it was altered
@cases = ();
damage('lit', [ FUSE .. SEALED - 1 ], \@three);
damage('lit', [ FUSE, FUSE_STATE ], \@each_bit);
my @lit = @cases;
make_and_damage(@lit);

ask_each('verified', 'a_damaged_tombstone_is_an_error_or_does_not_verify',
	"SELECT burn_verify_receipt('%s')", sub { $_[0]{verified} =~ /^(XX001|false)$/ }, @lit);
ask_each('answer', 'a_damaged_tombstone_opens_nothing',
	"SELECT burn_read('%s')", sub { $_[0]{answer} =~ /^(XX001|NULL)$/ }, @lit);
is(wrong(sub { $_[0]{offset} >= FUSE + 2 || $_[0]{answer} eq 'XX001' ? undef : $_[0]{answer} }, @lit),
	'', 'no_byte_turns_one_state_into_another');
is(changed_rows(grep { $_->{answer} eq 'XX001' } @lit), '', 'an_error_leaves_the_tombstone');
ask_each('verified', 'its_receipt_does_not_verify', "SELECT burn_verify_receipt('%s')",
	sub { $_[0]{verified} eq ($_[0]{answer} eq 'NULL' ? 'false' : 'XX001') }, @lit);

# Expired notes are swept, also those that only their key could tell altered. What is damaged
# otherwise stays, with a warning, and is no obstacle. (Which value in the TOAST table is a
# row's, only the row says: no table's DELETE could do better with another one's number.)
@cases = ();
damage('expired', [ CREATED_AT .. FUSE - 1, FUSE_HALF, SEALED_HEADER, SEALED_BODY ], \@three, qr/^expired$/);
damage('expired', [ NATTS, HOFF, NULLS ], \@each_bit, qr/^(XX001|expired)$/);
damage('expired', [ ID .. CREATED_AT - 1, FUSE_LEFT .. FUSE_HALF - 1 ], \@three, DAMAGED);
damage('expired', [ FUSE, FUSE_STATE, SEALED .. SEALED_HEADER - 1 ], \@each_bit, DAMAGED);
damage('expired_toasted', [ SEALED .. TOAST_VALUE - 1, TOAST_TABLE .. TOASTED_ROW - 1 ], \@each_bit, DAMAGED);
damage('expired', [SEALED_BODY], [ (sub { $_[0] }) x 20 ], qr/^expired$/);
my @expired = @cases;
make_and_damage(@expired);

$log_end = -s $node->logfile;
my ($purged) = answers('SELECT burn_purge(100000)');
like($purged, qr/^\d+$/, 'a_sweep_goes_on_behind_damaged_rows');
ask_each('status', 'a_healthy_row_is_swept_and_a_damaged_one_is_an_error',
	"SELECT state FROM burn_status('%s')", sub { $_[0]{status} =~ $_[0]{read} }, @expired);
is(changed_rows(grep { $_->{status} eq 'XX001' } @expired), '', 'and_its_row_stays');
is($node->safe_psql('postgres', "SELECT count(*) FROM burn_receipt WHERE outcome = 'e'"), $purged, 'each note that was swept has a receipt');
like(slurp_file($node->logfile, $log_end), qr/WARNING:  .*damaged/, 'and a warning');

# Receipts, whose columns say how long they are
@cases = ();
damage('read', [ NATTS, HOFF, NULLS, @{ +RECEIPT_LENGTHS } ], \@each_bit);
my @read = @cases;
make_and_damage(@read);
ask_each('status', 'a_damaged_receipt_is_shown_or_an_error',
	"SELECT state FROM burn_status('%s')", sub { $_[0]{status} =~ /^(XX001|read)$/ }, @read);

# An index that leads to another note's row
my @tokens = map { create($node, "'misled $_'") } 1 .. 2;
my @ids = map { pack 'H*', $node->safe_psql('postgres', "SELECT replace(burn_note_id('$_')::text, '-', '')") } @tokens;
my $file = file_of('burn_note_pkey');
$node->stop;
my $content = slurp_file($file);
my @at = map { index($content, $_) - 8 } @ids;    # an entry's row is eight bytes before its key
my @leads_to = map { substr $content, $_, 6 } @at;
substr($content, $at[0], 6) = $leads_to[1];
substr($content, $at[1], 6) = $leads_to[0];
overwrite($file, $content);
$node->start;
is_deeply([ answers(map { ("SELECT burn_read('$_')", "SELECT burn_revoke('$_')", "SELECT state FROM burn_status('$_')") } @tokens) ],
	[ ('XX001') x 6 ], 'an_index_that_leads_to_another_row_is_an_error');
$node->safe_psql('postgres', 'REINDEX TABLE burn_note; ANALYZE burn_note; VACUUM burn_note');
is_deeply([ answers(map { "SELECT burn_read('$_')" } @tokens) ], [ 'misled 1', 'misled 2' ], 'and_burns_nothing');

unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC/, 'the_server_never_stopped');
$node->stop;
done_testing();
