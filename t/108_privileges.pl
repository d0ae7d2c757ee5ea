# A database's owner, who is no superuser, installs burn_note and hands out its functions;
# nobody needs a right on its tables, and nobody else has a right on anything.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Burn;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('privileges');

$node->start;
$node->safe_psql('postgres', <<~'SQL');
	CREATE ROLE regress_owner LOGIN;
	CREATE ROLE regress_nobody LOGIN;
	CREATE ROLE regress_sender LOGIN;
	CREATE ROLE regress_reader LOGIN;
	CREATE ROLE regress_auditor LOGIN;
	CREATE ROLE regress_helper LOGIN;
	CREATE DATABASE app OWNER regress_owner;
	SQL

sub as
{
	my ($role, $sql) = @_;
	return answer_of($node, $sql, database => 'app', role => "regress_$role");
}

sub refused
{
	my ($role, $sql) = @_;
	return sqlstate($node, $sql, database => 'app', role => "regress_$role");
}

is(refused('nobody', 'CREATE EXTENSION burn_note CASCADE'), '42501', 'not_everybody_can_install');
is(refused('owner', 'CREATE EXTENSION burn_note CASCADE'), '', 'a_database_owner_can_install');
is( as('owner', "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"),
	'f', 'who_is_no_superuser');
is(as('owner', "SELECT burn_read(burn_create('mine'))"), 'mine', 'and_can_use_it');

as('owner', <<~'SQL');
	GRANT EXECUTE ON FUNCTION burn_create(text, interval, text) TO regress_sender;
	GRANT EXECUTE ON FUNCTION burn_read(text, inet, text) TO regress_reader;
	GRANT EXECUTE ON FUNCTION burn_status(text), burn_receipt_token(text), burn_note_id(text),
		burn_verify_receipt(text) TO regress_auditor;
	GRANT EXECUTE ON FUNCTION burn_purge(integer) TO regress_helper;
	SQL
pass('the_owner_can_grant_execute');

# What each role may execute, of all that the extension has
sub may_execute
{
	my ($role) = @_;
	return as('owner', <<~SQL);
		SELECT coalesce(string_agg(proname, ' ' ORDER BY proname), 'nothing')
		FROM pg_depend JOIN pg_extension AS e ON e.oid = refobjid JOIN pg_proc AS p ON p.oid = objid
		WHERE extname = 'burn_note' AND classid = 'pg_proc'::regclass AND deptype = 'e'
			AND has_function_privilege('regress_$role', p.oid, 'EXECUTE')
		SQL
}

is(may_execute('nobody'), 'nothing', 'PUBLIC_can_execute_nothing');
is(may_execute('sender'), 'burn_create', 'a_sender_can_only_create');
is(may_execute('reader'), 'burn_read', 'a_reader_can_only_read');
is(may_execute('auditor'), 'burn_note_id burn_receipt_token burn_status burn_verify_receipt',
	'an_auditor_can_only_look');

foreach my $call (
	"burn_create('x')", "burn_read('x')", "burn_status('x')", "burn_receipt_token('x')", "burn_note_id('x')",
	"burn_verify_receipt('x')", 'burn_purge()', "burn_fuse_in('void')")
{
	is(refused('nobody', "SELECT $call"), '42501', "nobody_is_refused_$call");
}

# Tables: reads, writes and what else there is to have
foreach my $role (qw(nobody sender reader auditor helper))
{
	is( as('owner', <<~SQL),
		SELECT count(*), bool_or(has_table_privilege('regress_$role', oid,
				'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')),
			bool_or(has_any_column_privilege('regress_$role', oid, 'SELECT, INSERT, UPDATE, REFERENCES'))
		FROM pg_class WHERE relname IN ('burn_note', 'burn_receipt')
		SQL
		'2|f|f', "a_$role\_has_no_right_on_a_table");
}
is(refused('nobody', "SELECT FROM $_"), '42501', "nobody_sees_$_") foreach qw(burn_note burn_receipt);
is(refused('owner', "SELECT sealed, fuse FROM burn_note"), '42501', 'the_installer_does_not_see_notes');
is(refused('owner', $_), '42501', "the_installer_is_refused_$_")
  foreach 'UPDATE burn_note SET created_at = now()',
  'ALTER TABLE burn_note DISABLE TRIGGER ALL', 'DELETE FROM burn_note',
  'UPDATE burn_receipt SET actor = NULL', 'DELETE FROM burn_receipt';

# One note's way through roles that have one function each
my $token = as('sender', "SELECT burn_create('for the reader')");
is(as('reader', "SELECT burn_read('$token', '192.0.2.8')"), 'for the reader',
	'a_role_with_only_EXECUTE_on_burn_read_reads_a_note');
is(as('reader', "SELECT burn_read('$token')"), 'NULL', 'once');
is( as('auditor', "SELECT state, client_ip, actor, burn_verify_receipt('$token') FROM burn_status('$token')"),
	'read|192.0.2.8|regress_reader|t', 'an_auditor_verifies_its_receipt');
is(refused('sender', "SELECT burn_read('$token')"), '42501', 'a_sender_cannot_read');
is(refused('reader', "SELECT burn_create('x')"), '42501', 'a_reader_cannot_create');
is(refused('auditor', "SELECT burn_read('$token')"), '42501', 'an_auditor_cannot_read');
is(refused('reader', "SELECT burn_verify_receipt('$token')"), '42501', 'a_reader_cannot_verify');

$token = as('sender', "SELECT burn_create('rolled back')");
is(as('reader', "BEGIN; SELECT burn_read('$token'); ROLLBACK"), 'rolled back', 'a_reader_rolls_back');
is(as('helper', 'SELECT burn_purge()'), '1', 'a_role_with_only_EXECUTE_on_burn_purge_finishes_it');

# Settings. What is set before the library is loaded is a placeholder: it must not count.
my $load = "SELECT burn_create('x')";
my %ours = (max_ttl => '1d', max_note_size => '1kB', receipt_retention => '1d');
foreach my $setting (sort keys %ours)
{
	is(refused('sender', "$load; SET burn_note.$setting = '$ours{$setting}'"), '42501',
		"a_sender_cannot_SET_$setting");
	isnt(
		(split /\n/, as('sender', "SET client_min_messages = error; SET burn_note.$setting = '$ours{$setting}';
			$load; SHOW burn_note.$setting"))[-1],
		$ours{$setting}, "nor_$setting\_before_the_library_is_loaded");
}
is(refused('sender', "$load; SET burn_note.$_"), '', "a_sender_can_SET_$_")
  foreach "default_ttl = '1d'", "actor = 'alice'";

# PostgreSQL grants nothing through a function that runs as its caller; a wrapper that
# runs as its owner is the owner's business.
is( as('owner', q{SELECT bool_or(prosecdef) FROM pg_proc AS p JOIN pg_depend ON objid = p.oid
		JOIN pg_extension AS e ON e.oid = refobjid WHERE extname = 'burn_note'}),
	'f', 'no_function_runs_as_its_owner');

# Who installs owns the schema. Whatever he put there, a superuser who verifies a receipt
# or checks the server does not run it: not operators that fit bit || bit or oid = regclass
# better than PostgreSQL's own, nor a digest() that he passes off as pgcrypto's.
my %planted = (
	operator => <<~'SQL',
		CREATE FUNCTION planted(bit, bit) RETURNS varbit LANGUAGE sql AS 'SELECT repeat($1::text, 1 / 0)::varbit';
		CREATE OPERATOR || (LEFTARG = bit, RIGHTARG = bit, FUNCTION = planted);
		SQL
	equality => <<~'SQL',
		CREATE FUNCTION planted(oid, regclass) RETURNS boolean LANGUAGE sql AS 'SELECT 1 / 0 = 1';
		CREATE OPERATOR = (LEFTARG = oid, RIGHTARG = regclass, FUNCTION = planted);
		SQL
	digest => <<~'SQL');
		CREATE FUNCTION digest(bytea, text) RETURNS bytea LANGUAGE sql AS 'SELECT substr($1, 1 / 0)';
		ALTER EXTENSION pgcrypto ADD FUNCTION digest(bytea, text);
		SQL
foreach my $what (sort keys %planted)
{
	my $database = "planted_$what";
	my %trap = (operator => q(B'0' || B'1'), equality => q(1::oid = 'pg_class'::regclass), digest => q(digest('', 'blake2b512')));

	$node->safe_psql('postgres', "CREATE DATABASE $database OWNER regress_owner");
	is(sqlstate($node, <<~SQL, database => $database, role => 'regress_owner'), '', "installed_beside_a_planted_$what");
		CREATE EXTENSION pgcrypto;
		CREATE SCHEMA planted;
		SET search_path = planted;
		$planted{$what};
		CREATE EXTENSION burn_note;
		SQL
	is(sqlstate($node, "SET search_path = planted; SELECT $trap{$what}", database => $database),
		'22012', "the_planted_${what}_would_run");
	is($node->safe_psql($database, <<~SQL), 't', "an_installer_cannot_plant_an_${what}_of_his_own");
		SET search_path = planted;
		CREATE TEMP TABLE token AS SELECT burn_create('x') AS token;
		CREATE TEMP TABLE note AS SELECT burn_read(token) FROM token;
		CREATE TEMP TABLE checked AS SELECT * FROM burn_check();
		SELECT burn_verify_receipt(token) FROM token;
		SQL
}

is(refused('owner', 'DROP EXTENSION burn_note'), '', 'who_installed_it_can_drop_it');
is(refused('owner', 'CREATE EXTENSION burn_note'), '', 'and_install_it_again');
is(may_execute('reader'), 'nothing', 'with_no_right_left_over');

done_testing();
