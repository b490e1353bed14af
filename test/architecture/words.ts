/** Words that say too little, or name two things, and what is said instead. */
import ts from 'typescript';
import type { Finding, SourceFile } from './finding';

interface Word {
  readonly name: RegExp;
  readonly instead: string;
  /** Whether methods and functions alone must not be called so. */
  readonly ofFunctions?: true;
}

/** PROTOCOL.md lists the words that are used. */
const WORDS: readonly Word[] = [
  {
    name: /^answer(s|ed|ing)?$|^answer[A-Z]|Answer/,
    instead: 'HTTP: StoredResponse, OutgoingResponse, res, reply; a database: result',
  },
  { name: /^exchanges?$|Exchange/i, instead: 'PendingResponse; around a handler: HandlerContext' },
  { name: /^(un)?seal(s|ed)?$|^(un)?seal[A-Z]|finishClaimed|commitFenced/, instead: 'finish' },
  { name: /^fate|Fate/, instead: 'TransactionEnd; elsewhere: outcome' },
  { name: /[lL]ookOnce/, instead: 'readAndDecide' },
  { name: /underWay|WORD_HOLDS/, instead: 'in flight' },
  {
    name: /^(Fenced|KeyTaken|AnsweredByAnother|CommitFailed|CommitInDoubt)$/,
    instead: 'an error ends with Error',
  },
  { name: /^books$|Books/, instead: 'acquirer ledger' },
  { name: /PaymentMethodDesk/, instead: "the port's name" },
  {
    name: /^(AGAIN|A_MOMENT|(MOST|LONGEST|SHORTEST)_.*)$/,
    instead: 'MAX_… or MIN_…, the unit last',
  },
  {
    name: /^(keepRequestsYoung|unhurried|complain|said|suffer|inWords)$/,
    instead: 'what it does, in plain words: a verb with an object',
    ofFunctions: true,
  },
  {
    name: /^(decided|ended|freed|unsealed|found|looked|known)$/,
    instead: 'a verb with an object: a participle does not say what the function does',
    ofFunctions: true,
  },
  {
    name: /^(World|Wish|Told|insist|doomed)$/,
    instead: 'testbed, request, result, retry, failing',
  },
];

/** What a file declares under a name of the list. A name that it imports or reads comes from elsewhere. */
export function vagueNames({ path, text }: SourceFile): Finding[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const found: Finding[] = [];
  const visit = (node: ts.Node): void => {
    const name = declaredName(node);
    const word = name && wordFor(name.text.replace(/^#/, ''), node);
    if (name && word) {
      const line = source.getLineAndCharacterOfPosition(name.getStart()).line + 1;
      found.push({ line, advice: `${name.text}: say ${word.instead}` });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function wordFor(name: string, node: ts.Node): Word | undefined {
  return WORDS.find((word) => word.name.test(name) && (!word.ofFunctions || isFunction(node)));
}

function isFunction(node: ts.Node): boolean {
  if (ts.isFunctionLike(node)) return true;
  const { initializer } = node as ts.VariableDeclaration;
  return Boolean(initializer) && ts.isFunctionLike(initializer);
}

function declaredName(node: ts.Node): ts.Identifier | ts.PrivateIdentifier | undefined {
  const hasName =
    ts.isVariableDeclaration(node) ||
    ts.isParameter(node) ||
    ts.isBindingElement(node) ||
    ts.isFunctionLike(node) ||
    ts.isClassLike(node) ||
    ts.isInterfaceDeclaration(node) ||
    ts.isTypeAliasDeclaration(node) ||
    ts.isEnumDeclaration(node) ||
    ts.isEnumMember(node) ||
    ts.isPropertySignature(node) ||
    ts.isPropertyDeclaration(node) ||
    ts.isPropertyAssignment(node) ||
    ts.isNamespaceImport(node);
  if (!hasName) return undefined;
  const { name } = node as ts.NamedDeclaration;
  return name && (ts.isIdentifier(name) || ts.isPrivateIdentifier(name)) ? name : undefined;
}
