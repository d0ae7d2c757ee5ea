#
# A burned note's key half is nowhere in the data directory (WAL aside, which SECURITY.md
# speaks of): not in its row, not where pruning has moved its row from. The control build
# leaves it there, and the same search must find it.
#
use strict;
use warnings;

use File::Find;
use FindBin;
use lib $FindBin::RealBin;

use BurnNote;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# The key halves of the live rows on the table's first page, in hexadecimal, by note id.
# A row's data begins with id 16 and created_at 8; of the fuse's 44 the half is the end.
sub key_halves
{
	my ($node) = @_;
	return map { split /\|/ } split /\n/, $node->safe_psql('postgres', <<~'SQL');
		SELECT encode(substr(t_data, 1, 16), 'hex'), encode(substr(t_data, 1 + 16 + 8 + 12, 32), 'hex')
		FROM heap_page_items(get_raw_page('burn_note', 0))
		WHERE lp_flags = 1 AND t_xmax = '0'
		SQL
}

# How many of these halves a file's content has, and how often at most.
sub count_in
{
	my ($content, @halves) = @_;
	my ($found, $most) = (0, 0);

	foreach my $half (@halves)
	{
		my $bytes = pack 'H*', $half;
		my $times = () = $content =~ /\Q$bytes\E/g;
		$found++ if $times > 0;
		$most = $times if $times > $most;
	}
	return wantarray ? ($found, $most) : $found;
}

# The table's file, as a crash would find it.
sub table_file
{
	my ($node) = @_;
	$node->safe_psql('postgres', 'CHECKPOINT');
	return slurp_file($node->data_dir . '/'
		  . $node->safe_psql('postgres', "SELECT pg_relation_filepath('burn_note')"));
}

# How many of these halves are in any file of a stopped node but WAL.
sub count_anywhere
{
	my ($node, @halves) = @_;
	my $found = 0;

	find({
		no_chdir => 1,
		wanted => sub {
			if (-d && m{/pg_wal$})
			{
				$File::Find::prune = 1;
			}
			elsif (-f && -s)
			{
				my $some = count_in(slurp_file($_), @halves);
				note("$some in $_") if $some;
				$found += $some;
			}
		}
	}, $node->data_dir);
	return $found;
}

# Burns the notes of one page in every way that there is, with pruning in between, and
# returns their halves. The node is stopped then.
sub burn_a_page
{
	my ($node) = @_;
	my ($expired, @tokens) = map {
		$node->safe_psql('postgres',
			"SELECT burn_create('note $_', CASE WHEN $_ = 0 THEN interval '1 second' END)")
	} 0 .. 16;
	my %half = key_halves($node);
	my @halves = values %half;

	is(scalar @halves, 17, 'the notes are on one page');
	$node->safe_psql('postgres', 'ANALYZE');
	is(scalar count_in(table_file($node), @halves), 17, 'their key halves are in the file');

	# Every second one is read; pruning then moves the rows that are left
	burn($node, $tokens[ 2 * $_ ]) foreach 0 .. 6;
	$node->safe_psql('postgres', 'VACUUM burn_note');
	my (undef, $most) = count_in(table_file($node), @halves);
	cmp_ok($most, '>', 1, 'pruning has left a second copy of a live key half');

	# The last two have nothing behind them, so that their burns clean up for all
	$node->safe_psql('postgres', "BEGIN; SELECT burn_read('$tokens[1]'); ROLLBACK");
	burn($node, $tokens[ 2 * $_ + 1 ]) foreach 1 .. 6;
	$node->poll_query_until('postgres', "SELECT expires_at < now() FROM burn_status('$expired')")
	  or die 'the note does not expire';
	$node->safe_psql('postgres', 'SELECT burn_purge()');
	$node->psql('postgres', "SELECT burn_read('$tokens[14]')::int");
	$node->safe_psql('postgres', "BEGIN; SELECT burn_read('$tokens[15]'); ROLLBACK");

	$node->safe_psql('postgres', 'CHECKPOINT');
	return @halves;
}

sub page_of_notes
{
	my ($name, %options) = @_;
	my $node = burn_node($name, %options);

  SKIP:
	{
		skip 'extension pageinspect is not available', 1 unless available($node, 'pageinspect');
		$node->safe_psql('postgres', 'CREATE EXTENSION pageinspect');

		subtest "$name" => sub {
			my @halves = burn_a_page($node);
			my $in_table = count_in(table_file($node), @halves);
			$node->stop;
			my $anywhere = count_anywhere($node, @halves);
			$options{judge}->($in_table, $anywhere);
		};
	}
	return;
}

page_of_notes('no_key_half_of_a_burned_note_remains', judge => sub {
	my ($in_table, $anywhere) = @_;
	is($in_table, 0, 'none in the table');
	is($anywhere, 0, 'none in the data directory');
});

SKIP:
{
	skip no_fuse_missing(), 1 if no_fuse_missing();

	page_of_notes('the_control_leaves_key_halves', no_fuse => 1, judge => sub {
		my ($in_table, $anywhere) = @_;
		cmp_ok($in_table, '>=', 10, 'in the table, all that burned after the pruning');
		cmp_ok($anywhere, '>=', $in_table, 'and so in the data directory');
	});
}

done_testing();
