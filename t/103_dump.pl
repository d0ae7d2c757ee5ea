# Receipts travel in a dump, notes do not; a row of burn_note that is copied opens nothing.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Burn;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('dumped');
my $dir = PostgreSQL::Test::Utils::tempdir();

$node->start;
$node->safe_psql('postgres', 'CREATE ROLE regress_owner LOGIN; CREATE ROLE regress_sender LOGIN');

sub dump_of
{
	my ($database, $file, @options) = @_;

	$node->command_ok([ 'pg_dump', '--file', "$dir/$file", @options, $database ],
		"pg_dump_makes_$file");
	return slurp_file("$dir/$file");
}

sub restore
{
	my ($database, $file, @options) = @_;
	my @restore = $file =~ /\.custom$/
	  ? ('pg_restore', '--exit-on-error', '--dbname', $database, @options)
	  : ('psql', '-Xq', '--set=ON_ERROR_STOP=1', '--dbname', $database, @options, '--file');

	$node->command_ok([ @restore, "$dir/$file" ], "$file\_restores_into_$database");
}

# One note for each way to end that needs no passphrase.
sub make_notes
{
	my ($database) = @_;
	my %token = map { $_ => create($node, "'note $_'", $database) } qw(unread read tombstone);

	answer_of($node, "SELECT burn_read('$token{read}', '2001:db8::7')", database => $database);
	answer_of($node, "BEGIN; SELECT burn_read('$token{tombstone}'); ROLLBACK", database => $database);
	return %token;
}

sub ending
{
	my ($database, $token) = @_;

	return answer_of($node, "SELECT state, client_ip, burn_verify_receipt('$token') FROM burn_status('$token')",
		database => $database);
}

# A superuser's dump

$node->safe_psql('postgres', 'CREATE DATABASE app');
$node->safe_psql('app', <<~'SQL');
	CREATE SCHEMA burn;
	CREATE EXTENSION burn_note WITH SCHEMA burn CASCADE;
	ALTER DATABASE app SET search_path = burn, public;
	SQL
$node->safe_psql('app', 'GRANT USAGE ON SCHEMA burn TO regress_sender;
	GRANT EXECUTE ON FUNCTION burn_create(text, interval, text) TO regress_sender');
my %token = make_notes('app');

my $dump = dump_of('app', 'app.sql');
like($dump, qr/COPY burn\.burn_receipt .*\n.*2001:db8::7/, 'receipts_are_dumped');
unlike($dump, qr/COPY burn\.burn_note /, 'notes_are_not_dumped');
unlike(dump_of('app', 'inserts.sql', '--inserts'), qr/INSERT INTO burn\.burn_note /,
	'notes_are_not_dumped_as_inserts');
my $sealed = $node->safe_psql('app', q{SELECT encode(sealed, 'hex') FROM burn_note LIMIT 1});
unlike($dump, qr/\Q$sealed\E/, 'no_ciphertext_is_dumped');
dump_of('app', 'app.custom', '--format=custom');

foreach my $file (qw(app.sql app.custom inserts.sql))
{
	my $database = 'from_' . $file =~ tr/./_/r;

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	restore($database, $file);
	$node->safe_psql('postgres', "ALTER DATABASE $database SET search_path = burn, public");
	is(ending($database, $token{read}), 'read|2001:db8::7|t', "$file\_brings_a_receipt_that_verifies");
	is(ending($database, $token{unread}), 'unknown|NULL|NULL', "$file\_brings_no_unread_note");
	is(answer_of($node, "SELECT burn_read('$token{unread}')", database => $database),
		'NULL', "$file\_lets_nobody_read_one");
	is(answer_of($node, "SELECT burn_read('$token{tombstone}')", database => $database),
		'NULL', "$file\_does_not_bring_back_a_rolled_back_burn");
	is( answer_of($node, "SELECT burn_read(burn_create('new'))", database => $database),
		'new', "the_database_from_$file\_works");
	is( sqlstate($node, "SELECT burn_create('x')", database => $database, role => 'regress_sender'),
		'', "$file\_brings_the_right_to_create");
	is( sqlstate($node, "SELECT burn_read('$token{read}')", database => $database, role => 'regress_sender'),
		'42501', "$file\_brings_no_other_right");
}

my $schema = dump_of('app', 'schema.sql', '--schema-only');
unlike($schema, qr/COPY|2001:db8::7/, 'a_schema_only_dump_has_no_receipts');
$node->safe_psql('postgres', 'CREATE DATABASE schema_only');
restore('schema_only', 'schema.sql');
is( $node->safe_psql('schema_only', 'SET search_path = burn, public; SELECT burn_read(burn_create($$new$$))'),
	'new', 'a_database_from_a_schema_only_dump_works');

is(ending('app', $token{unread}), 'sealed|NULL|NULL', 'dumping_burns_nothing');

# A dump by a database's owner, who is no superuser

$node->safe_psql('postgres', 'CREATE DATABASE owned OWNER regress_owner;
	CREATE DATABASE owned_copy OWNER regress_owner');
$node->safe_psql('owned', 'SET ROLE regress_owner; CREATE EXTENSION burn_note CASCADE');
my %owned = make_notes('owned');
$dump = dump_of('owned', 'owned.sql', '--username=regress_owner');
unlike($dump, qr/COPY public\.burn_note /, 'an_owners_dump_has_no_notes');
SKIP:
{
	skip 'no dump', 2 if $dump eq '';
	like($dump, qr/COPY public\.burn_receipt .*\n.*2001:db8::7/, 'an_owners_dump_has_receipts');
	restore('owned_copy', 'owned.sql', '--username=regress_owner');
	is(ending('owned_copy', $owned{read}), 'read|2001:db8::7|t',
		'an_owners_dump_brings_a_receipt_that_verifies');
}

# A row of burn_note that somebody copies

$node->safe_psql('app', 'CREATE EXTENSION pageinspect');
my $half = $node->safe_psql('app', <<~SQL);
	SELECT encode(substr(t_data, 25 + 12, 32), 'hex')
	FROM heap_page_items(get_raw_page('burn_note', 0))
		JOIN burn_note ON burn_note.ctid = t_ctid
	WHERE id = burn_note_id('$token{unread}') AND substr(t_data, 1, 16) = uuid_send(id)
	SQL
is($half =~ tr/0-9a-f//, 64, 'the_test_knows_where_the_key_half_lies');

foreach my $format (qw(text csv binary))
{
	my $copied = create($node, "'note $format'", 'app');
	my $file = "$dir/note.$format";

	$node->safe_psql('app', "COPY (SELECT * FROM burn_note) TO '$dir/all.$format' (FORMAT $format)");
	my $all = slurp_file("$dir/all.$format");
	ok(index($all, pack('H*', $half)) < 0 && index($all, $half) < 0,
		"COPY_$format\_shows_no_key_half");

	$node->safe_psql('app', <<~SQL);
		COPY (SELECT * FROM burn_note WHERE id = burn_note_id('$copied')) TO '$file' (FORMAT $format);
		DELETE FROM burn_note WHERE id = burn_note_id('$copied');
		COPY burn_note FROM '$file' (FORMAT $format);
		SQL
	is(answer_of($node, "SELECT fuse FROM burn_note WHERE id = burn_note_id('$copied')", database => 'app'),
		'void', "a_note_copied_as_$format\_has_a_void_fuse");
	is(answer_of($node, "SELECT burn_read('$copied')", database => 'app'),
		'NULL', "a_note_copied_as_$format\_opens_nothing");
	is( answer_of($node, "SELECT state, created_at IS NOT NULL FROM burn_status('$copied')", database => 'app'),
		'unknown|t', "burn_status_says_that_a_note_copied_as_$format\_cannot_be_known");
}

# A row copied back after its note was read
my $read = create($node, "'note'", 'app');
$node->safe_psql('app', "COPY (SELECT * FROM burn_note WHERE id = burn_note_id('$read')) TO '$dir/read'");
is(answer_of($node, "SELECT burn_read('$read')", database => 'app'), 'note', 'a_note_is_read');
$node->safe_psql('app', "COPY burn_note FROM '$dir/read'");
is(answer_of($node, "SELECT burn_read('$read')", database => 'app'), 'NULL', 'its_copy_is_not_read');
is(ending('app', $read), 'read|NULL|t', 'burn_status_of_its_copy_tells_how_it_ended');
is( $node->safe_psql('app', "SELECT count(*) FROM burn_receipt WHERE id = burn_note_id('$read')"),
	'1', 'its_receipt_stays');

done_testing();
