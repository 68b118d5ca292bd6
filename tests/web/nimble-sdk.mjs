// A script as people write them with @aws-sdk/client-nimble: the broker's address and a studio's id come as arguments.
import assert from "node:assert/strict";
import {
  CreateStreamingSessionCommand,
  CreateStreamingSessionStreamCommand,
  DeleteStreamingSessionCommand,
  GetStreamingSessionCommand,
  GetStreamingSessionStreamCommand,
  ListLaunchProfilesCommand,
  ListTagsForResourceCommand,
  NimbleClient,
  ResourceNotFoundException,
  TagResourceCommand,
  ValidationException,
  paginateListStreamingSessions,
  waitUntilStreamingSessionDeleted,
  waitUntilStreamingSessionReady,
  waitUntilStreamingSessionStreamReady,
} from "@aws-sdk/client-nimble";

const [endpoint = "", studioId = ""] = process.argv.slice(2);
const credentials = { accessKeyId: "local", secretAccessKey: "local" };
const client = new NimbleClient({ endpoint, region: "us-west-2", credentials });
const patience = { client, maxWaitTime: 30, minDelay: 1, maxDelay: 1 };

const { launchProfiles = [] } = await client.send(new ListLaunchProfilesCommand({ studioId, maxResults: 10 }));
const launchProfileId = launchProfiles[0]?.launchProfileId;
const { session } = await client.send(new CreateStreamingSessionCommand({ studioId, launchProfileId, tags: { a: "b" } }));
assert.ok(session?.createdAt instanceof Date);
const one = { studioId, sessionId: session.sessionId };
assert.equal((await waitUntilStreamingSessionReady(patience, one)).state, "SUCCESS");

const { stream } = await client.send(new CreateStreamingSessionStreamCommand({ ...one, expirationInSeconds: 60 }));
const named = { ...one, streamId: stream?.streamId };
assert.equal((await waitUntilStreamingSessionStreamReady(patience, named)).state, "SUCCESS");
const shown = await client.send(new GetStreamingSessionStreamCommand(named));
assert.match(shown.stream?.url ?? "", /#session=[0-9a-f-]{36}&token=/);
assert.equal(Number(shown.stream?.expiresAt) - Number(shown.stream?.createdAt), 60_000);

await client.send(new TagResourceCommand({ resourceArn: session.arn, tags: { c: "d" } }));
const { tags } = await client.send(new ListTagsForResourceCommand({ resourceArn: session.arn }));
assert.deepEqual(tags, { a: "b", c: "d" });

const listed = [];
for await (const page of paginateListStreamingSessions({ client }, { studioId })) {
  listed.push(...(page.sessions ?? []).map(({ sessionId }) => sessionId));
}
assert.deepEqual(listed, [session.sessionId]);

await client.send(new DeleteStreamingSessionCommand(one));
assert.equal((await waitUntilStreamingSessionDeleted(patience, one)).state, "SUCCESS");
const gone = { studioId, sessionId: "yeG7lDwNQEiwNTRT7DrV7Q" };
await assert.rejects(client.send(new GetStreamingSessionCommand(gone)), (error) => {
  assert.ok(error instanceof ResourceNotFoundException);
  assert.deepEqual(error.context, { resourceId: gone.sessionId });
  return error.$metadata.httpStatusCode === 404 && error.$metadata.requestId !== undefined;
});
await assert.rejects(client.send(new CreateStreamingSessionStreamCommand({ ...one, expirationInSeconds: 5 })), ValidationException);
process.stdout.write("done\n");
