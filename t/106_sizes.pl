# Notes of any size come back byte for byte, and a row's size tells no more of a note's
# length than its Padme length.

use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use FindBin;
use lib $FindBin::RealBin;

use Burn;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use constant MB => 1024 * 1024;

my $node = new_node('sizes');

$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION burn_note CASCADE');

# A note of so many bytes in Perl, and the same in SQL.
my $words = join('', map { md5_hex($_) } 1 .. 1000);

sub note_perl
{
	my ($bytes) = @_;
	return substr($words x (1 + $bytes / length $words), 0, $bytes);
}

$node->safe_psql(
	'postgres', <<~'SQL');
	CREATE FUNCTION note(bytes int) RETURNS text LANGUAGE sql AS
		$$ SELECT left(repeat(words, 1 + bytes / length(words)), bytes)
			FROM (SELECT string_agg(md5(i::text), '' ORDER BY i) FROM generate_series(1, 1000) AS i) AS w (words) $$
	SQL

# Padme by its definition (PoPETs 2019, section 4): a length's E-bit exponent leaves it
# floor(log2 E) + 1 significant bits after the first; so round up to that many. In
# strings of binary digits, unlike src/seal.c.
sub padme
{
	my ($length) = @_;
	my $exponent = length(sprintf('%b', $length)) - 1;
	my $kept = length(sprintf('%b', $exponent));
	my $bits = sprintf('%b', $length);
	my $head = substr($bits, 0, 1 + $kept);
	my $tail = substr($bits, 1 + $kept);

	return $length if $tail !~ /1/;
	return (oct("0b$head") + 1) * 2**length $tail;
}

sub sealed_bytes_expected
{
	my ($bytes) = @_;
	my $length = 4 + $bytes;

	return 4 + ($length <= 128 ? 128 : padme($length)) + 16;
}

is(padme($_->[0]), $_->[1], "control_padme_of_$_->[0]")
  foreach [ 9, 10 ], [ 129, 144 ], [ 1000, 1024 ], [ 1024, 1024 ], [ 1025, 1088 ], [ 1_000_000, 1_015_808 ];

foreach my $bytes (0, 1, 123, 124, 125, MB, 16 * MB)
{
	my $token = create($node, "note($bytes)");
	my $answer = answer_of($node, "SELECT burn_read('$token')");

	is(length $answer, $bytes, "a_note_of_$bytes\_bytes_comes_back_as_long");
	is(md5_hex($answer), md5_hex(note_perl($bytes)), "a_note_of_$bytes\_bytes_comes_back_exact");
	is(answer_of($node, "SELECT burn_read('$token')"), 'NULL', "a_note_of_$bytes\_bytes_is_read_once");
}

# Sizes of rows
answer_of($node, 'SELECT count(burn_create(note(bytes))) FROM generate_series(0, 124) AS bytes');
is( answer_of($node, 'SELECT count(*), min(octet_length(sealed)), max(octet_length(sealed)),
		max(pg_column_size(burn_note)) - min(pg_column_size(burn_note)) FROM burn_note'),
	'125|148|148|0', 'every_note_up_to_124_bytes_has_a_row_of_the_same_size');

my @longer = (125, 126, 132, 133, 200, 252, 253, 1000, 1020, 1021, 4092, 4093, 10_000, 65_532, 65_533,
	123_456, MB - 4, MB - 3, 3_333_333, 16 * MB);
my %token = map { $_ => create($node, "note($_)") } @longer;
is( answer_of($node, "SELECT octet_length(sealed) FROM burn_note WHERE id = burn_note_id('$token{$_}')"),
	sealed_bytes_expected($_), "a_note_of_$_\_bytes_has_a_row_of_its_padme_length")
  foreach @longer;
cmp_ok((sort { $b <=> $a } map { sealed_bytes_expected($_) / $_ - 1 } grep { $_ >= 1000 } @longer)[0],
	'<', 0.12, 'padding_costs_less_than_12_percent');

# The limit
my $limit = 16 * MB;
is(sqlstate($node, "SELECT burn_create(note($limit + 1))"), '54000', 'one_byte_more_than_16_MB_is_refused');
my %refused = (a => 10, "\xc3\xa9" => 5);
foreach my $letter (sort keys %refused)
{
	my $hex = unpack('H*', $letter);
	my $note = "repeat(convert_from('\\x$hex', 'UTF8'), $refused{$letter})";
	my $limited = "SET burn_note.max_note_size = '10B'";

	is(sqlstate($node, "$limited; SELECT burn_create($note)"), '', "a_note_as_long_as_the_limit_is_taken_$hex");
	is(sqlstate($node, "$limited; SELECT burn_create($note || 'x')"), '54000', "one_byte_more_is_refused_$hex");
}
is(sqlstate($node, "SET burn_note.max_note_size = 0; SELECT burn_create('')"), '', 'a_limit_of_0_takes_the_empty_note');
is(sqlstate($node, "SET burn_note.max_note_size = 0; SELECT burn_create('x')"), '54000', 'and_no_other');

my $big = create($node, "note($limit)");
is( answer_of($node, "SET burn_note.max_note_size = 0; SELECT length(burn_read('$big'))"),
	$limit, 'a_note_longer_than_a_later_limit_can_still_be_read');

done_testing();
