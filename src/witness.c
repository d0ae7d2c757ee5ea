/*-------------------------------------------------------------------------
 *
 * witness.c
 *	  Who ends a note, and from where.
 *
 * client_ip and actor are what the caller claims; peer is what this server's
 * own socket says.  Nothing here is secret.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/socket.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "src/compat.h"
#include "src/witness.h"

/*
 * The address of this backend's client, NULL for a Unix socket or a background
 * process.  It cannot change while the backend lives, so it is computed once.
 */
static inet *
peer_address(void)
{
	static bool known = false;
	static inet *peer = NULL;

	if (!known)
	{
		LOCAL_FCINFO(fcinfo, 0);
		Datum		result;

		InitFunctionCallInfoData(*fcinfo, NULL, 0, InvalidOid, NULL, NULL);
		result = inet_client_addr(fcinfo);
		if (!fcinfo->isnull)
		{
			MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

			peer = DatumGetInetPP(datumCopy(result, false, -1));
			MemoryContextSwitchTo(caller);
		}
		known = true;
	}
	return peer;
}

static bool
same_address(const inet *a, const inet *b)
{
	return VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
		memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0;
}

/*
 * The setting, or the session user's name where it is empty.  Either may come in
 * another encoding: a setting from before the database was known, a role's name
 * from another database.  A receipt with it could not be restored from a dump.
 */
static text *
text_of_actor(const char *actor)
{
	if (actor[0] == '\0')
	{
		actor = GetUserNameFromId(GetSessionUserId(), false);
		if (!pg_verifymbstr(actor, strlen(actor), true))
			return NULL;
	}
	else if (!pg_verifymbstr(actor, strlen(actor), true))
		ereport(ERROR,
				(errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
				 errmsg("burn_note.actor is not valid text in the server's encoding")));
	return cstring_to_text(actor);
}

/*
 * ip, or NULL, in the form that seals and fuses hold.
 */
static void
put_address(SealAddress *address, const inet *ip)
{
	memset(address, 0, sizeof(*address));
	if (ip == NULL)
		return;

	address->family = ip_family(ip) == PGSQL_AF_INET ? 4 : 6;
	address->mask = ip_bits(ip);
	memcpy(address->address, ip_addr(ip), ip_addrsize(ip));
}

/*
 * Fills in who is calling now.  actor is the setting, '' where it is not set.
 * What witness points to lives as long as the caller's memory context.
 */
void
witness_now(BurnWitness *witness, inet *client_ip, const char *actor)
{
	witness->client_ip = client_ip;
	witness->peer = peer_address();
	if (witness->peer != NULL && client_ip != NULL &&
		same_address(witness->peer, client_ip))
		witness->peer = NULL;
	witness->actor = text_of_actor(actor);
	put_address(&witness->claimed, witness->client_ip);
	put_address(&witness->seen, witness->peer);
}

/*
 * An address as an inet: NULL, or a fresh one in the caller's memory context.
 */
inet *
witness_inet(const SealAddress *address)
{
	inet	   *ip;

	if (address->family == 0)
		return NULL;

	ip = palloc0(sizeof(inet));
	ip_family(ip) = address->family == 4 ? PGSQL_AF_INET : PGSQL_AF_INET6;
	ip_bits(ip) = address->mask;
	SET_INET_VARSIZE(ip);
	memcpy(ip_addr(ip), address->address, ip_addrsize(ip));
	return ip;
}
