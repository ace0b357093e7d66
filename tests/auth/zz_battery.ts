import { Context, Effect, Layer, Redacted, Exit, Cause, Option } from "effect";
import * as Http from "../../src/auth/IdentityProvider/Http.ts";
import { IdentityProvider } from "../../src/auth/IdentityProvider.ts";
import { TokenEndpoint } from "../support/servers/TokenEndpoint.ts";
const t=(tokenEndpoint:string)=>({tenantId:"a",name:"A",enabled:true,authConfig:{tokenEndpoint,clientId:"c",clientSecret:Redacted.make("x y")}});
await Effect.runPromise(Effect.scoped(Effect.gen(function*(){
  const e=yield* TokenEndpoint.scoped(); const s=yield* TokenEndpoint.scoped({tls:true});
  const get=(o:any)=>Effect.map(Layer.build(Http.layer({timeout:"200 millis",...o})),Context.get(IdentityProvider));
  const p=yield* get({}); const q=yield* get({authorities:[s.certificate!.ca]});
  const show=(n:string,x:Exit.Exit<any,any>)=>console.log(n,Exit.isSuccess(x)?"ok":(()=>{const f:any=Option.getOrUndefined(Cause.failureOption(x.cause));return f?`${f._tag} ${f.reason??f.status} ${f.timedOut??""}`:Cause.pretty(x.cause)})());
  for(const b of [{kind:"ok"},{kind:"ok"},{kind:"hang"},{kind:"ok"},{kind:"stall"},{kind:"reset"},{kind:"reset",middle:true},{kind:"close"},{kind:"garbage"},{kind:"redirect",location:"http://127.0.0.1:1"},{kind:"oversized",bytes:70000},{kind:"answer",status:401}] as any[]){e.behave(b);show(JSON.stringify(b),yield* Effect.exit(p.exchange(t(e.url),Redacted.make("x"))))}
  console.log("requests",e.requests.length);
  show("tls unknown",yield* Effect.exit(p.exchange(t(s.url),Redacted.make("x"))));
  show("tls known",yield* Effect.exit(q.exchange(t(s.url),Redacted.make("x"))));
  show("tls known again",yield* Effect.exit(q.exchange(t(s.url),Redacted.make("x"))));
  show("tls localhost",yield* Effect.exit(q.exchange(t(s.url.replace("127.0.0.1","localhost")),Redacted.make("x"))));
  s.behave({kind:"hang"});show("tls hang",yield* Effect.exit(q.exchange(t(s.url),Redacted.make("x"))));
  show("plain behind https",yield* Effect.exit(p.exchange(t(e.url.replace("http","https")),Redacted.make("x"))));
  for(const u of ["http://127.0.0.1:1/","https://no-such.invalid/","https://169.254.169.254/","https://evil.test/","http://evil.localhost/","http://out.localhost/"])show(u,yield* Effect.exit(p.exchange(t(u),Redacted.make("x"))));
})));
Deno.exit(0);
