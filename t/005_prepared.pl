# Two-phase commit: while the winner is prepared, losers are answered and told.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BurnNote;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = burn_node('prepared', conf => "max_prepared_transactions = 2\n");

foreach my $end ('COMMIT', 'ROLLBACK')
{
	my $token = create($node);
	my $ip = FIRST_READER;

	is($node->safe_psql('postgres',
			"BEGIN; SELECT burn_read('$token', '$ip'); PREPARE TRANSACTION 'reader'"),
		NOTE, "$end PREPARED: the first reader gets the note");

	# Waiting for the prepared transaction would be an error here.
	foreach my $level ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE')
	{
		is($node->safe_psql('postgres', <<~SQL), 'NULL', "$end PREPARED: prepared_winner_keeps_nobody_waiting, $level");
			SET statement_timeout = '3min';
			BEGIN ISOLATION LEVEL $level;
			SELECT coalesce(burn_read('$token'), 'NULL');
			COMMIT;
			SQL
	}
	my $status = status($node, $token);
	like($status, qr/^read\|.*\|$ip\|/, "$end PREPARED: losers are told of the first reader");

	$node->safe_psql('postgres', "$end PREPARED 'reader'");
	is(burn($node, $token), 'NULL', "$end PREPARED: the note stays burned");
	is(receipts($node, $token), $status, "$end PREPARED: one receipt, the first reader's");
}

done_testing();
