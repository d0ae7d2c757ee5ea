# Text is sealed as UTF-8 whatever the database's encoding; what the client could not be
# shown is not burned.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Burn;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('encodings');

$node->start;
foreach my $encoding (qw(LATIN1 UTF8 SQL_ASCII EUC_JP))
{
	my $database = lc $encoding;
	$node->safe_psql('postgres',
		"CREATE DATABASE $database TEMPLATE template0 ENCODING '$encoding' LOCALE 'C'");
	$node->safe_psql($database, 'CREATE EXTENSION burn_note CASCADE');
}

sub sealed_bytes
{
	my ($token, $database) = @_;
	return answer_of($node, "SELECT octet_length(sealed) FROM burn_note WHERE id = burn_note_id('$token')",
		database => $database);
}

# A note, as its hexadecimal bytes in the database's encoding: psql sends ASCII only.
sub create_from
{
	my ($database, $hex) = @_;
	return create($node, "convert_from('\\x$hex', getdatabaseencoding())", $database);
}

# Two bytes of UTF-8 each, one of LATIN1: 62 fill a padded block, 63 do not.
my ($e_utf8, $e_latin1) = ('c3a9', 'e9');
my %fits = (
	latin1 => create_from('latin1', $e_latin1 x 62),
	utf8 => create_from('utf8', $e_utf8 x 62));
my %exceeds = (
	latin1 => create_from('latin1', $e_latin1 x 63),
	utf8 => create_from('utf8', $e_utf8 x 63));
is(sealed_bytes($fits{latin1}, 'latin1'), sealed_bytes($fits{utf8}, 'utf8'),
	'a_LATIN1_database_seals_as_many_bytes_as_a_UTF8_one');
is(sealed_bytes($exceeds{latin1}, 'latin1'), sealed_bytes($exceeds{utf8}, 'utf8'),
	'a_longer_note_too');
cmp_ok(sealed_bytes($exceeds{latin1}, 'latin1'), '>', sealed_bytes($fits{latin1}, 'latin1'),
	'a_LATIN1_database_seals_UTF8');

is(answer_of($node, "SELECT burn_read('$fits{latin1}')", database => 'latin1', encoding => 'UTF8'),
	pack('H*', $e_utf8 x 62), 'a_LATIN1_databases_note_comes_back_right_to_a_UTF8_client');
is(answer_of($node, "SELECT burn_read('$exceeds{latin1}')", database => 'latin1', encoding => 'LATIN1'),
	pack('H*', $e_latin1 x 63), 'and_to_a_LATIN1_client');
is( answer_of($node, "SELECT encode(convert_to(burn_read('" . create_from('latin1', 'e4f6fc') . "'), 'LATIN1'), 'hex')",
		database => 'latin1'),
	'e4f6fc', 'and_inside_the_database');
is( answer_of($node, "SELECT encode(convert_to(burn_read('" . create_from('euc_jp', 'c6fccbdc') . "'), 'UTF8'), 'hex')",
		database => 'euc_jp'),
	'e697a5e69cac', 'an_EUC_JP_databases_note_comes_back_right');
is( answer_of($node, "SELECT octet_length(burn_read(burn_create('')))", database => 'latin1'),
	'0', 'an_empty_note_comes_back_from_a_LATIN1_database');

# A euro sign, which LATIN1 lacks
my $euro = create_from('utf8', 'e282ac');
foreach my $attempt (1 .. 2)
{
	is(sqlstate($node, "SELECT burn_read('$euro')", database => 'utf8', encoding => 'LATIN1'),
		'22P05', "text_that_the_client_cannot_show_is_22P05_attempt_$attempt");
}
is(answer_of($node, "SELECT state FROM burn_status('$euro')", database => 'utf8'),
	'sealed', 'text_that_the_client_cannot_show_is_not_burned');
is(answer_of($node, 'SELECT count(*) FROM burn_receipt', database => 'utf8'), '0',
	'and_has_no_receipt');
is(answer_of($node, "SELECT burn_read('$euro')", database => 'utf8'), "\xe2\x82\xac",
	'a_UTF8_client_can_read_it_then');
is(answer_of($node, "SELECT burn_read('$euro')", database => 'utf8'), 'NULL', 'once');
is( sqlstate($node, "SELECT length(burn_read('" . create_from('utf8', 'e282ac') . "'))",
		database => 'utf8', encoding => 'LATIN1'),
	'22P05', 'text_that_the_client_cannot_show_is_refused_even_if_it_is_not_sent');

# SQL_ASCII takes any bytes; a note must be UTF-8
is( sqlstate($node, "SELECT burn_create(E'caf\\xe9')", database => 'sql_ascii', encoding => 'SQL_ASCII'),
	'22021', 'invalid_UTF8_in_a_SQL_ASCII_database_is_refused_at_create');
is(answer_of($node, 'SELECT count(*) FROM burn_note', database => 'sql_ascii'), '0',
	'and_makes_no_note');
is( answer_of($node, "SELECT encode(burn_read(burn_create(E'caf\\xc3\\xa9'))::bytea, 'hex')",
		database => 'sql_ascii', encoding => 'SQL_ASCII'),
	'636166c3a9', 'valid_UTF8_in_a_SQL_ASCII_database_comes_back_as_it_was');

done_testing();
