/** The front end of the equivalent guestbook. It listens on port 80, as the sample's does. */
import { createFrontEnd } from "./front-end.js";

const server = createFrontEnd({ env: process.env });
// An error (its port is taken) ends it: without its port it is useless, and the kubelet restarts it.
server.listen(80);
process.on("SIGTERM", () => {
  server.close();
  server.closeAllConnections();
});
