# Sweepers run triggers as the owner of the tables, a superuser perhaps: names in them
# must not be looked up where the database's owner says.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BurnNote;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = burn_node('path', conf => <<~'CONF');
	shared_preload_libraries = 'burn_note'
	burn_note.purge_interval = '1s'
	CONF

$node->safe_psql('postgres', <<~'SQL');
	CREATE SCHEMA evil;
	ALTER DATABASE postgres SET search_path = evil, pg_catalog, public;
	CREATE TABLE public.seen (path text);
	CREATE FUNCTION public.note_path() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO public.seen VALUES (current_setting('search_path'));
		RETURN NULL;
	END $$;
	CREATE TRIGGER note_path AFTER INSERT ON public.burn_receipt FOR EACH ROW EXECUTE FUNCTION public.note_path();
	SQL
is($node->safe_psql('postgres', 'SHOW search_path'), 'evil, pg_catalog, public', 'others use the path that the owner set');
$node->safe_psql('postgres', q(SELECT public.burn_create('x', '1 ms')));
$node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM public.seen') or die 'no sweep';
is($node->safe_psql('postgres', 'SELECT path FROM public.seen'), '', 'a sweeper looks up no name in it');

done_testing();
